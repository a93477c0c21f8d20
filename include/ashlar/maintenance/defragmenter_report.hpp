#pragma once
/// What a defragmenter says: how far it is, and what it would do.

#include <ashlar/maintenance/defragmenter_interface.hpp>

namespace ashlar::inline v0 {

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
progress defragmenter<Host, Policy, Throttle, C>::report(turn& now, Host& host)
noexcept {
    auto&      said      = now.said;
    const bool sees      = phase_ == defrag_phase::merging || phase_ == defrag_phase::relocating;
    const bool merges    = options_.compact_free_extents || task_.only_merge;
    const bool relocates = options_.relocate_fragmented && !task_.only_merge;
    const auto walks     = 1U + (merges ? 1U : 0U) + (relocates ? 1U : 0U);
    const auto here      = phase_ == defrag_phase::measuring_objects ? objects_.seen() : sees ? window_.behind() : 0;
    said.phase           = static_cast<std::uint32_t>(phase_);
    said.total           = task_.groups ? host.scope_count() : owners_ * walks;
    said.done            = std::min(said.total, walked_ + (task_.groups ? 0 : here));
    if (said.reasons.has(stop_reason::finished)) said.done = said.total;
    said.moved = pass_moved_;
    if (C::ticks && phase_ != defrag_phase::idle) {
        const auto passed     = clock_.now() - pass_began_;
        const auto bytes      = bytes_of(pass_moved_, host.block());
        said.bytes_per_second = quotient_of(bytes * 1000, quotient_of(passed.nanoseconds, 1'000'000));
        said.left             = {quotient_of(passed.nanoseconds, said.done) * (said.total - said.done)};
    }
    last_stop_ = said.reasons;
    return said;
}

template <RelocationHost Host, DefragPolicy Policy, IoThrottle Throttle, Clock C>
    requires(!Throttle::needs_clock || C::ticks)
result<defrag_plan> defragmenter<Host, Policy, Throttle, C>::plan(Host& host, std::optional<std::uint64_t> group)
noexcept {
    extent      scope{};
    space_meter space;
    auto        looks = ~std::uint64_t{0};
    if (group) {
        BOOST_OUTCOME_TRY(const relocation_scope only, host.scope(*group));
        scope = only.blocks;
        space.begin(*group);
    }
    BOOST_OUTCOME_TRY(space.advance(host, looks));
    auto sums = space.sums();
    if (group) {  // targets come from anywhere
        space_meter whole;
        BOOST_OUTCOME_TRY(whole.advance(host, looks));
        sums.largest = whole.sums().largest;
    }
    const auto     scratch = carve_plan_memory(chunk_, options_.pieces_max);
    defrag_planner planner{options_, scope, scratch.pieces, scratch.targets};
    BOOST_OUTCOME_TRY(auto plan, planner.run(host, policy_, aside_, sums));
    plan.memory_bytes = memory_bytes(options_, host.block());
    return plan;
}

}  // namespace ashlar::inline v0
