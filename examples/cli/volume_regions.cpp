#include "volume_regions.hpp"

#include "output.hpp"
#include "region_names.hpp"
#include "volume_core.hpp"

#include <ashlar/compaction.hpp>

#include <algorithm>
#include <array>
#include <optional>

namespace cli {
namespace {

using program_compaction = ashlar::compaction<program_volume>;

constexpr std::size_t lines_max = ashlar::region_slots;

shape_facts facts_of(const ashlar::free_space_shape& shape) {
    return {.free_blocks        = shape.free.value,
            .largest_run        = shape.largest.value,
            .runs               = shape.runs,
            .free_fragmentation = static_cast<double>(shape.permille()) / 1000};
}

failure region_failure(const char* verb, ashlar::region_id name, const std::string& path, ashlar::error error) {
    if (error.code == ashlar::errc::not_found)
        return {exit_code::not_found, fmt::format("no region {}", text_of(name)), path,
                "'ashlar regions' lists those that are"};
    if (error.code == ashlar::errc::pinned)
        return {
            exit_code::failed, fmt::format("region {} is pinned", text_of(name)), path,
            fmt::format("release it with 'ashlar region-pin VOLUME {} {} --off'", type_text(name.type), name.number)};
    return store_failure(fmt::format("cannot {} region {}", verb, text_of(name)), path, error);
}

}  // namespace

struct open_region::core {
    ashlar::region_device<program_volume> device;
    std::string                           path;

    [[nodiscard]] result<> told(const char* verb, const ashlar::result<>& done) const {
        if (!done) return region_failure(verb, device.name(), path, done.error());
        return success();
    }
    [[nodiscard]] ashlar::extent blocks(std::uint64_t first, std::size_t bytes) const {
        return {ashlar::block_index{first}, ashlar::block_count{bytes / device.geometry().size.bytes}};
    }
};

open_region::open_region(std::unique_ptr<core> inner) noexcept : core_{std::move(inner)} {}
open_region::open_region(open_region&&) noexcept = default;
open_region::~open_region()                      = default;

std::uint64_t open_region::blocks() const { return core_->device.geometry().blocks.value; }
std::uint32_t open_region::block_bytes() const { return core_->device.geometry().size.bytes; }

result<> open_region::read(std::uint64_t first, std::span<std::byte> into) {
    return core_->told("read", core_->device.read(core_->blocks(first, into.size()), into));
}
result<> open_region::write(std::uint64_t first, std::span<const std::byte> bytes) {
    return core_->told("write", core_->device.write(core_->blocks(first, bytes.size()), bytes));
}
result<> open_region::sync() { return core_->told("sync", core_->device.sync()); }

struct volume_regions::core {
    volume::core&                         of;
    ashlar::store_regions<program_volume> regions{of.store};
    std::optional<program_compaction>     task{};
};

volume_regions::volume_regions(volume& of) : core_{std::make_unique<core>(core{*of.core_})} {}
volume_regions::~volume_regions() = default;

result<layout_facts> volume_regions::layout() {
    std::array<ashlar::region_row, lines_max> rows;
    layout_facts                              facts;
    const auto seen = core_->regions.report(rows, [&](ashlar::extent run) { facts.free_runs.push_back(run); });
    if (!seen) return core_->of.failed("cannot read how the regions lie", seen.error());
    const auto& report = seen.value();
    for (const auto& row : std::span{rows}.first(report.regions))
        facts.regions.push_back({row.name, row.place, row.gap_after.value, row.pinned, row.engine, row.slides});
    facts.own                = report.own;
    facts.entries            = report.entries;
    facts.slid               = report.slid.value;
    facts.free_blocks        = report.free.free.value;
    facts.largest_run        = report.free.largest.value;
    facts.smallest_run       = report.smallest.value;
    facts.average_run        = report.average().value;
    facts.wasted_blocks      = report.wasted.value;
    facts.perfect_gain       = report.perfect_gain().value;
    facts.free_fragmentation = static_cast<double>(report.free.permille()) / 1000;
    return facts;
}

result<region_facts> volume_regions::find(ashlar::region_id name) {
    const auto info = core_->regions.find(name);
    if (!info) return region_failure("look at", name, core_->of.path, info.error());
    return region_facts{
        .name = name, .place = info.value().place, .pinned = info.value().pinned, .own = info.value().engine};
}

/// Full is said with what there is, so that the next size that is tried fits.
failure volume_regions::cannot_add(std::uint64_t blocks, ashlar::error error) {
    using ashlar::errc;
    const auto& path = core_->of.path;
    const auto  info = core_->of.store.info();
    const auto  size = [&](std::uint64_t count) { return human_bytes(count * info.block.bytes); };
    if (error.code == errc::too_large && core_->regions.count() == ashlar::region_slots)
        return {exit_code::no_space, fmt::format("the volume has {} regions already", ashlar::region_slots), path,
                "remove one with 'ashlar region-remove'"};
    if (error.code == errc::too_large)
        return {exit_code::no_space, "the journal cannot hold a change of so many groups", path, "use a smaller size"};
    if (error.code == errc::no_space || error.code == errc::reserve_only)
        return {exit_code::no_space,
                fmt::format("a region of {} does not fit: {} are free and not kept for the store", size(blocks),
                            size(info.available.value)),
                path, "use a smaller size, or a larger volume"};
    if (error.code == errc::no_contiguous_space) {
        const auto now = layout();
        return {exit_code::no_space,
                fmt::format("no free run holds {}: the largest has {}", size(blocks),
                            now ? size(now.value().largest_run) : "less"),
                path, "'ashlar compact' may join free runs; or use a smaller size"};
    }
    return store_failure("cannot add a region", path, error);
}

/// The store itself is asked by `add` alone: a volume that is open for reading has no next change. What decides it can
/// be read all the same: the first run that is long enough, of what is not kept for the store.
result<ashlar::extent> volume_regions::can_add(std::uint64_t blocks) {
    using ashlar::errc;
    BOOST_OUTCOME_TRY(const auto now, layout());
    if (now.regions.size() == ashlar::region_slots) return cannot_add(blocks, errc::too_large);
    if (core_->of.store.info().available.value < blocks) return cannot_add(blocks, errc::no_space);
    const auto fits = std::find_if(now.free_runs.begin(), now.free_runs.end(),
                                   [&](ashlar::extent run) { return run.count.value >= blocks; });
    if (fits == now.free_runs.end()) return cannot_add(blocks, errc::no_contiguous_space);
    return ashlar::extent{fits->first, ashlar::block_count{blocks}};
}

result<ashlar::region_id> volume_regions::add(std::uint32_t type, std::uint64_t blocks) {
    const auto name = core_->regions.add({.type = type, .blocks = ashlar::block_count{blocks}});
    if (!name) return cannot_add(blocks, name.error());
    return name.value();
}

result<> volume_regions::remove(ashlar::region_id name) {
    const auto done = core_->regions.remove(name);
    if (!done) return region_failure("remove", name, core_->of.path, done.error());
    return success();
}

result<> volume_regions::pin(ashlar::region_id name, bool pinned) {
    const auto done = core_->regions.pin(name, pinned);
    if (!done) return region_failure(pinned ? "pin" : "release", name, core_->of.path, done.error());
    return success();
}

result<open_region> volume_regions::open(ashlar::region_id name) {
    auto device = core_->regions.open(name);
    if (!device) return region_failure("open", name, core_->of.path, device.error());
    return open_region{
        std::make_unique<open_region::core>(open_region::core{std::move(device.value()), core_->of.path})};
}

result<> volume_regions::prepare(const compaction_settings& settings) {
    program_compaction::options options;
    options.regions.only          = settings.only;
    options.regions.verify_target = true;
    options.regions.clears_way    = true;
    options.throttle              = throttle_for(settings.bytes_per_second);
    if (settings.only) options.regions.threshold_permille = 0;  // who names a region wants it moved
    auto made = program_compaction::open(core_->of.store, options);
    if (!made) return core_->of.failed("cannot compact the regions", made.error());
    core_->task.emplace(std::move(made.value()));
    return success();
}

result<compaction_plan_facts> volume_regions::plan() {
    std::array<ashlar::region_move, lines_max> lines;
    const auto                                 plan = core_->task->plan(lines);
    if (!plan) return core_->of.failed("cannot plan a compaction", plan.error());
    compaction_plan_facts facts{.moves       = plan.value().moves,
                                .blocks      = plan.value().blocks.value,
                                .memory      = plan.value().memory_bytes,
                                .slides      = plan.value().slides,
                                .entries     = plan.value().entries,
                                .entries_max = plan.value().entries_max,
                                .ways        = plan.value().ways,
                                .cleared     = plan.value().cleared.value,
                                .before      = facts_of(plan.value().before),
                                .after       = facts_of(plan.value().after)};
    for (const auto& line : std::span{lines}.first(plan.value().regions))
        facts.lines.push_back(
            {line.region, line.from, line.to, line.needed, line.pinned, line.slides, line.clears, line.cleared.value});
    return facts;
}

ashlar::progress volume_regions::step(std::uint64_t bytes_max) {
    return core_->task->step(
        {.blocks_max = std::max<std::uint64_t>(1, bytes_max / core_->of.store.info().block.bytes)});
}

ashlar::progress volume_regions::cancel() {
    core_->task->cancel();
    return core_->task->step();
}

compaction_facts volume_regions::compacted() const {
    const auto& done = core_->task->last_result();
    return {.finished = done.finished,
            .regions  = done.regions_moved,
            .slid     = done.regions_slid,
            .blocks   = done.blocks_moved.value,
            .ways     = done.ways_cleared,
            .cleared  = done.blocks_cleared.value,
            .gained   = done.gained().value,
            .before   = facts_of(done.before),
            .after    = facts_of(done.after)};
}

}  // namespace cli
