#include "volume_evacuator.hpp"

#include "volume_core.hpp"

#include <ashlar/evacuation.hpp>

#include <algorithm>

namespace cli {
namespace {

using program_evacuation = ashlar::evacuation<program_volume>;

}  // namespace

struct volume_evacuator::core {
    volume::core&      of;
    program_evacuation task;
};

volume_evacuator::volume_evacuator(std::unique_ptr<core> inner) noexcept : core_{std::move(inner)} {}
volume_evacuator::volume_evacuator(volume_evacuator&&) noexcept = default;
volume_evacuator::~volume_evacuator()                           = default;

result<volume_evacuator> volume_evacuator::open(volume& of, std::uint64_t bytes_per_second) {
    program_evacuation::options options;
    options.moves.verify_target = true;
    options.moves.obstacles_max = 64;
    options.throttle            = throttle_for(bytes_per_second);
    auto made                   = program_evacuation::open(of.core_->store, options);
    if (!made) return of.core_->failed("cannot evacuate", made.error());
    return volume_evacuator{std::make_unique<core>(core{*of.core_, std::move(made.value())})};
}

result<evacuation_plan_facts> volume_evacuator::plan(ashlar::extent range) {
    const auto plan = core_->task.plan(range);
    if (!plan) return core_->of.failed("cannot plan the evacuation", plan.error());
    const auto& made = plan.value();
    return evacuation_plan_facts{.objects        = made.extents,
                                 .nodes          = made.nodes,
                                 .regions        = made.regions,
                                 .tables         = made.tables,
                                 .blocks         = made.to_move().value,
                                 .fixed          = made.fixed.value,
                                 .room           = made.room.value,
                                 .memory         = made.memory_bytes,
                                 .obstacle_count = made.obstacles,
                                 .succeeds       = made.succeeds(),
                                 .obstacles      = facts_of(core_->task.obstacles())};
}

result<> volume_evacuator::start(ashlar::extent range) {
    const auto started = core_->task.start(range);
    if (!started) return core_->of.failed("cannot evacuate", started.error());
    return success();
}

ashlar::progress volume_evacuator::step(std::uint64_t bytes_max) {
    return core_->task.step({.blocks_max = std::max<std::uint64_t>(1, bytes_max / core_->of.store.info().block.bytes)});
}
bool volume_evacuator::running() const { return core_->task.running(); }

ashlar::progress volume_evacuator::cancel() {
    core_->task.cancel();
    return core_->task.step();
}

evacuation_facts volume_evacuator::done() const {
    const auto&            last = core_->task.last_result();
    std::optional<failure> why;
    if (last.failure.code != ashlar::errc::none) why = core_->of.failed("not all of it can move", last.failure);
    return {.emptied        = last.emptied,
            .objects        = last.extents,
            .nodes          = last.nodes,
            .regions        = last.regions,
            .tables         = last.tables,
            .blocks         = last.moved.value,
            .before         = last.before.value,
            .after          = last.after.value,
            .obstacle_count = last.obstacles,
            .obstacles      = facts_of(core_->task.obstacles()),
            .why            = std::move(why)};
}

}  // namespace cli
