#include "volume_copier.hpp"

#include "region_names.hpp"
#include "volume_core.hpp"

#include <ashlar/volume_copy.hpp>

#include <algorithm>

namespace cli {
namespace {

using program_copy = ashlar::volume_copy<program_volume, program_volume, ashlar::token_bucket, ashlar::steady_clock>;

static_assert(ashlar::copy_mark::name.type == copy_type);

/// Nobody works with either volume meanwhile: without a rate it goes as fast as it can.
ashlar::token_bucket copy_throttle(std::uint64_t bytes_per_second) {
    if (bytes_per_second != 0) return ashlar::token_bucket{throttle_for(bytes_per_second)};
    return ashlar::token_bucket{{.bytes_per_second = 0, .bytes_in_flight_max = 1024 * 1024}};
}

failure stands_here(const char* what, const std::string& path) {
    return {exit_code::failed, fmt::format("{} stands here", what), path,
            "use another place, or 'ashlar format --force' to destroy it"};
}

/// Records of an unfinished copy do not migrate: it is made anew.
std::string advice_on_width(const std::string& path, std::uint32_t width, bool unfinished) {
    if (!unfinished)
        return fmt::format("run 'ashlar migrate-records {} --width {}' first, or use another place", path, width);
    return fmt::format("use a new target, or delete this unfinished copy, with '--record-bytes {}' or more", width);
}

}  // namespace

bool volume::is_unfinished_copy() {
    return ashlar::store_regions{core_->store}.find(ashlar::copy_mark::name).has_value();
}

result<> volume::expect_finished() {
    if (!is_unfinished_copy()) return success();
    return failure{exit_code::corrupt, "the volume is an unfinished copy", path(),
                   "run the 'ashlar copy' that makes it once more, and it goes on; or delete it"};
}

struct volume_copier::core {
    volume::core& from;
    volume::core& to;
    program_copy  task;
};

volume_copier::volume_copier(std::unique_ptr<core> inner) noexcept : core_{std::move(inner)} {}
volume_copier::volume_copier(volume_copier&&) noexcept = default;
volume_copier::~volume_copier()                        = default;

result<copy_estimate_facts> volume_copier::estimate(volume& of) {
    const auto said = program_copy::estimate(of.core_->store);
    if (!said) return of.core_->failed("cannot read what the volume holds", said.error());
    return copy_estimate_facts{.objects       = said.value().objects,
                               .records       = of.core_->store.volume().space.totals().records_high_water,
                               .regions       = said.value().regions,
                               .blocks        = said.value().blocks.value,
                               .reserved      = said.value().reserved.value,
                               .skipped       = said.value().skipped.value,
                               .feature_bytes = said.value().feature_bytes};
}

/// What `format` takes, what every volume keeps for itself, the mark of the copy, and the object table, which grows by
/// parts as large as all that it has.
std::uint64_t volume_copier::room_when_new(std::uint64_t records, std::uint64_t blocks, std::uint32_t block_bytes,
                                           std::uint32_t record_bytes) {
    constexpr bool            sums = program_store::volume_type::checksum_type::enabled;
    const ashlar::block_size  size{block_bytes};
    const ashlar::block_count all{blocks};
    const auto                layout    = ashlar::volume_layout::of(ashlar::volume_geometry::of(size, all), {}, sums);
    const std::uint64_t       per_block = ashlar::records_per_block(size, record_bytes);
    const std::uint64_t       part_max  = ashlar::blocks_per_group(size);
    std::uint64_t             table     = layout.objects.count.value;
    std::uint64_t             kept      = layout.data.value + ashlar::space::reserve_of(all).value + 1;
    for (auto held = (table - 1) * per_block; held < records && table < blocks;) {
        const auto part = std::min(table, part_max);
        table += part;
        kept += part;
        held += (part - 1) * per_block;
    }
    return kept < blocks ? blocks - kept : 0;
}

result<std::uint32_t> volume_copier::extents_when_new(volume& from, std::uint32_t feature_bytes,
                                                      std::uint32_t record_bytes, const std::string& target) {
    auto extents = from.facts().inline_extents;
    while (extents > 0 && ashlar::object_encoded_bytes(extents) + feature_bytes > record_bytes) --extents;
    if (extents != 0) return extents;
    const auto least = ashlar::object_encoded_bytes(1) + feature_bytes;
    return failure{exit_code::usage,
                   fmt::format("records of {} bytes have no room for the {} bytes of the source's features",
                               record_bytes, feature_bytes),
                   target, fmt::format("use --record-bytes {} or more, or leave it out", least)};
}

result<std::uint64_t> volume_copier::nodes_when_new(volume& from, std::uint32_t extents) {
    if (extents >= from.facts().inline_extents) return 0U;
    auto&         source = from.core_->store;
    std::uint64_t nodes  = 0;
    auto          all    = source.objects();
    for (const auto id : all) {
        const auto object = source.info(id);
        if (!object) return from.core_->failed("cannot read what the volume holds", object.error());
        if (object.value().blocks > extents) ++nodes;
    }
    if (all.failure().code != ashlar::errc::none)
        return from.core_->failed("cannot read what the volume holds", all.failure());
    return nodes;
}

result<> volume_copier::check_source(volume& from) {
    if (!from.is_unfinished_copy()) return success();
    return failure{exit_code::failed, "the volume is itself an unfinished copy", from.path(),
                   "run the command that makes it again, until it has finished"};
}

result<> volume_copier::check_target(volume& from, volume& to) {
    auto& target = *to.core_;
    if (!to.is_unfinished_copy()) {
        const auto empty = ashlar::is_empty_volume(target.store);
        if (!empty) return target.failed("cannot look at what it holds", empty.error());
        if (!empty.value()) return stands_here("an ashlar volume", target.path);
    }
    const auto wanted = from.facts().block_bytes, has = to.facts().block_bytes;
    if (wanted != has) {
        return failure{exit_code::failed,
                       fmt::format("its blocks have {} bytes, and those of the source {}", has, wanted), target.path,
                       fmt::format("use another place, or 'ashlar format --force --block {}'", wanted)};
    }
    const auto features = program_copy::plan_features(from.core_->store, target.store);
    if (!features) return from.core_->failed("cannot read what features it has", features.error());
    if (features.value().obstacle == ashlar::errc::too_large) {
        const auto width = features.value().width;
        return failure{
            exit_code::failed,
            fmt::format("its records have {} bytes, and the source's features need {}", features.value().has, width),
            target.path, advice_on_width(target.path, width, to.is_unfinished_copy())};
    }
    if (features.value().obstacle == ashlar::errc::busy && !to.is_unfinished_copy())
        return stands_here("a volume with other features", target.path);
    return success();
}

result<volume_copier> volume_copier::open(volume& from, volume& to, std::uint64_t bytes_per_second) {
    BOOST_OUTCOME_TRY(check_source(from));
    BOOST_OUTCOME_TRY(check_target(from, to));
    auto task = program_copy::open(from.core_->store, to.core_->store, {}, copy_throttle(bytes_per_second));
    if (!task && task.error().code == ashlar::errc::busy)
        return stands_here("an unfinished copy of another volume", to.path());
    if (!task) return to.core_->failed("cannot begin the copy", task.error());
    return volume_copier{std::make_unique<core>(core{*from.core_, *to.core_, std::move(task.value())})};
}

ashlar::progress volume_copier::step(std::uint64_t bytes_max) {
    return core_->task.step({.blocks_max = std::max<std::uint64_t>(1, bytes_max / core_->to.store.info().block.bytes)});
}

/// An error does not say which of the two volumes it is about: a full one is the target, and so is one that has ended
/// its writing.
failure volume_copier::failed(ashlar::error error) const {
    using ashlar::errc;
    if (error.os_code == 0 &&
        (error.code == errc::no_space || error.code == errc::reserve_only || error.code == errc::no_contiguous_space)) {
        auto full = core_->to.failed("the copy does not fit", error);
        full.fix  = "make the target anew, with a larger --size";
        return full;
    }
    const bool  ended = core_->to.store.info().failure.code != errc::none;
    const auto& where = ended ? core_->to : core_->from;
    return where.failed("the copy cannot go on", error);
}

copied_facts volume_copier::copied() const {
    const auto& done = core_->task.last_result();
    return {.resumed          = done.resumed,
            .objects          = done.objects,
            .regions          = done.regions,
            .blocks           = done.blocks.value,
            .speed_up_percent = done.speed_up_percent()};
}

}  // namespace cli
