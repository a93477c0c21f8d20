#include "volume_size.hpp"

#include "output.hpp"
#include "region_names.hpp"
#include "volume_core.hpp"

#include <ashlar/shrinking.hpp>

#include <algorithm>

namespace cli {
namespace {

using ashlar::block_count;
using ashlar::errc;

using program_shrink = ashlar::shrinking<program_volume>;

std::string obstacle_text(const ashlar::evacuation_obstacle& one) {
    const auto where = fmt::format("at block {}", one.blocks.first.value);
    switch (one.kind) {
        case ashlar::obstacle_kind::frames: return "the fixed blocks " + where;
        case ashlar::obstacle_kind::table: return fmt::format("the store's table {} {}", text_of(one.region), where);
        case ashlar::obstacle_kind::region: return fmt::format("region {} {}", text_of(one.region), where);
        case ashlar::obstacle_kind::extents: return fmt::format("an extent of object {} {}", one.object.value, where);
        case ashlar::obstacle_kind::node: return fmt::format("the map of object {} {}", one.object.value, where);
        case ashlar::obstacle_kind::reserved: return "blocks that are being read or written, " + where;
    }
    return where;
}

}  // namespace

struct volume_size::core {
    volume::core&                 of;
    std::optional<program_shrink> task{};

    [[nodiscard]] ashlar::store_size<program_volume> size() const { return ashlar::store_size{of.store}; }
    [[nodiscard]] std::string                        bytes(std::uint64_t blocks) const {
                               return human_bytes(blocks * of.store.info().block.bytes);
    }
    [[nodiscard]] std::uint64_t device() const { return of.store.device().geometry().blocks.value; }

    [[nodiscard]] failure growth_failure(const ashlar::growth_plan& plan, ashlar::error error) const {
        const auto& path = of.path;
        if (error.code == errc::out_of_range)
            return {exit_code::failed, fmt::format("only {} are there", bytes(plan.device.value)), path,
                    "enlarge the disk, or name a smaller size with --to"};
        if (error.code == errc::invalid_argument)
            return {exit_code::failed, fmt::format("the volume has {} already", bytes(plan.before.value)), path,
                    "name a larger size with --to, or enlarge the disk"};
        if (error.code == errc::no_space)
            return {exit_code::no_space, "the new blocks would not hold the tables that describe them", path,
                    "name a larger size with --to"};
        if (error.code == errc::too_large)
            return {exit_code::failed, "the tables of the volume have all their parts", path,
                    "copy it to a larger one with 'ashlar copy'"};
        return store_failure("cannot grow the volume", path, error);
    }
    [[nodiscard]] failure shrink_failure(const ashlar::shrink_plan& plan, ashlar::error error) const {
        const auto& path = of.path;
        const auto  smallest =
            fmt::format("the smallest size now is {} ({} blocks)", bytes(plan.smallest.value), plan.smallest.value);
        if (error.code == errc::invalid_argument)
            return {exit_code::failed, fmt::format("the volume has {}", bytes(plan.before.value)), path,
                    "name a smaller size with --to; 'ashlar grow' makes a volume larger"};
        if (error.code == errc::no_space) return {exit_code::no_space, smallest, path, "name a larger size with --to"};
        if (error.code == errc::pinned && plan.object)
            return {exit_code::failed,
                    fmt::format("object {} is pinned behind the new end; {}", plan.object.value, smallest), path,
                    "name a larger size with --to"};
        if (error.code == errc::pinned && ashlar::is_user_region(plan.region.type))
            return {exit_code::failed,
                    fmt::format("region {} is pinned behind the new end; {}", text_of(plan.region), smallest), path,
                    fmt::format("release it with 'ashlar region-pin VOLUME {} {} --off'", type_text(plan.region.type),
                                plan.region.number)};
        if (error.code == errc::pinned)
            return {exit_code::no_space, fmt::format("tables of the store lie behind the new end; {}", smallest), path,
                    "name a larger size with --to"};
        return store_failure("cannot shrink the volume", path, error);
    }
};

volume_size::volume_size(volume& of) : core_{std::make_unique<core>(core{*of.core_})} {}
volume_size::~volume_size() = default;

result<growth_facts> volume_size::plan_growth(std::uint64_t blocks) {
    const auto plan   = core_->size().plan_growth(block_count{std::min(blocks, core_->device())});
    const bool longer = blocks > core_->device();  // the file is made longer before
    if (!plan.possible() && !longer) return core_->growth_failure(plan, plan.why);
    return growth_facts{plan.before.value, longer ? blocks : plan.after.value, plan.tables.value, plan.device.value};
}

result<growth_facts> volume_size::grow(std::uint64_t blocks) {
    auto& device = core_->of.store.device();
    if (blocks > core_->device()) {
        const auto longer = device.resize(block_count{blocks});
        if (!longer && longer.error().code == errc::unsupported)
            return core_->growth_failure(core_->size().plan_growth(), errc::out_of_range);
        if (!longer) return core_->of.failed("cannot make the file longer", longer.error());
    }
    const auto plan  = core_->size().plan_growth(block_count{blocks});
    const auto grown = core_->size().grow(block_count{blocks});
    if (!grown) return core_->growth_failure(plan, grown.error());
    const auto& done = grown.value();
    return growth_facts{done.before.value, done.after.value, done.tables.value, done.device.value};
}

result<shrink_facts> volume_size::plan_shrink(std::uint64_t blocks) {
    const auto planned = core_->size().plan_shrink(block_count{blocks});
    if (!planned) return core_->of.failed("cannot plan a shrink", planned.error());
    const auto& plan = planned.value();
    if (!plan.possible()) return core_->shrink_failure(plan, plan.why);
    return shrink_facts{plan.before.value, plan.after.value,  plan.smallest.value,
                        plan.in_use.value, plan.tables.value, core_->device()};
}

result<> volume_size::begin_shrink(std::uint64_t blocks, std::uint64_t bytes_per_second) {
    program_shrink::options options;
    options.evacuation.moves.verify_target          = true;
    options.evacuation.throttle.bytes_per_second    = bytes_per_second != 0 ? bytes_per_second : default_rate;
    options.evacuation.throttle.bytes_in_flight_max = 256 * 1024;
    auto made                                       = program_shrink::open(core_->of.store, options);
    if (!made) return core_->of.failed("cannot shrink the volume", made.error());
    core_->task.emplace(std::move(made.value()));
    if (const auto begun = core_->task->start(block_count{blocks}); !begun)
        return core_->of.failed("cannot shrink the volume", begun.error());
    return success();
}

bool volume_size::shrinks() const { return core_->task->running(); }

ashlar::progress volume_size::step(std::uint64_t bytes_max) {
    return core_->task->step(
        {.blocks_max = std::max<std::uint64_t>(1, bytes_max / core_->of.store.info().block.bytes)});
}

ashlar::progress volume_size::cancel() {
    core_->task->cancel();
    return core_->task->step();
}

shrunk_facts volume_size::shrunk() const {
    const auto&  done = core_->task->last_result();
    shrunk_facts facts{.after = done.after.value, .moved = done.moved.value, .given_back = done.given_back.value};
    if (done.failure.code == errc::none) return facts;
    facts.why = core_->of.failed(done.shrank() ? "the volume is smaller, but its file is as long as before"
                                               : "what lies behind the new end does not all move",
                                 done.failure);
    for (const auto& one : core_->task->obstacles()) facts.obstacles.push_back(obstacle_text(one));
    return facts;
}

}  // namespace cli
