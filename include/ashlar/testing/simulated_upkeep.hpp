#pragma once
/// What looks after a simulated store: maintenance, trims, verification, and time that goes by.

#include <ashlar/testing/simulated_world.hpp>

namespace ashlar::inline v0 {

/// Looks after the store; any thread may.
template <class B>
class simulated_upkeep {
  public:
    explicit simulated_upkeep(simulated_world<B>& world) : world_{world} {
        // A move reads what may be given away meanwhile, and finds that out afterwards.
        world_.disk.slow().excuse_reads([this] { return movers_.count(schedule::self()) != 0; });
    }
    simulated_upkeep(const simulated_upkeep&)            = delete;
    simulated_upkeep& operator=(const simulated_upkeep&) = delete;

    void tend(const simulated_step& step) {
        switch (step.verb) {
            case simulated_verb::wait: world_.clock.advance(milliseconds(step.a)); break;
            case simulated_verb::verify: verify(); break;
            case simulated_verb::trim: judge("trim", [&] { return world_.opened.trim(block_count{step.a}); }); break;
            default: maintain(step.a);
        }
        ++world_.counts.steps;
    }

  private:
    void verify() {
        const auto faults = world_.disk.faults().failures();
        const auto found  = findings_of(world_.opened);
        world_.hash.add(found.size());
        if (!found.empty() && !world_.rotten && !world_.disk_failed_since(faults) && !world_.writing_ended())
            world_.fail("verify: " + found);
    }

    void maintain(std::uint64_t blocks_max) {
        const auto moved = world_.opened.metrics().blocks_moved;
        judge("maintain", [&] {
            movers_.insert(schedule::self());
            const auto done = world_.opened.maintain({.blocks_max = blocks_max});
            movers_.erase(schedule::self());
            return done;
        });
        world_.counts.moved += world_.opened.metrics().blocks_moved - moved;
    }

    template <class Call>
    void judge(const char* what, Call call) {
        const auto faults = world_.disk.faults().failures();
        const auto done   = call();
        world_.hash.add(done);
        if (!done && !world_.writing_ended() && !world_.may_be(done.error(), faults))
            world_.fail(std::string{what} + ": " + said(done));
    }

    simulated_world<B>&   world_;
    std::set<std::size_t> movers_;  // threads that are maintaining
};

}  // namespace ashlar::inline v0
