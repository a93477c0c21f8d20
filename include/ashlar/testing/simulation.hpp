#pragma once
/// One run of a simulation: steps done on a store by logical threads, each answer compared with a model.

#include <ashlar/testing/simulated_changes.hpp>
#include <ashlar/testing/simulated_lives.hpp>
#include <ashlar/testing/simulated_reads.hpp>
#include <ashlar/testing/simulated_upkeep.hpp>

#include <deque>

namespace ashlar::inline v0 {

/// Runs steps in a world of its own. Where threads are stuck it must not be destroyed, as they stand in it.
///
/// From one barrier to the next each thread does the steps of its queue while the others do theirs; at a barrier no
/// thread is at work, and the store loses power or is closed.
template <class B>
class simulation {
  public:
    simulation(const simulated_setup& setup, const simulation_options<B>& options) : world_{setup, options} {}

    /// Does the steps. Call it once.
    void run(std::span<const simulated_step> steps) {
        const auto threads = world_.setup.threads;
        lives_.begin();
        queues_.resize(threads + 1);
        for (const auto& step : steps) {
            if (!step.is_barrier()) {
                queues_[std::min(step.thread, threads)].push_back(step);
                continue;
            }
            work();
            if (!failure().empty()) return;
            if (step.verb == simulated_verb::power_cut) lives_.recover(step.seed);
            if (step.verb == simulated_verb::reopen) lives_.reopen();
            ++world_.counts.steps;
        }
        work();
        if (failure().empty()) lives_.reopen();
        world_.hash.add(world_.medium.bytes());
        world_.counts.calls = world_.disk.calls();
    }

    [[nodiscard]] const std::string&       failure() const noexcept { return world_.failure; }
    [[nodiscard]] bool                     is_stuck() const noexcept { return stuck_; }
    [[nodiscard]] std::uint64_t            hash() const noexcept { return world_.hash.value(); }
    [[nodiscard]] const simulation_counts& counts() const noexcept { return world_.counts; }

  private:
    /// Lets the threads do what is in their queues; where writing ends under them the store recovers, and they go on.
    void work() {
        const auto waits = [this] {
            return std::any_of(queues_.begin(), queues_.end(), [](const auto& queue) { return !queue.empty(); });
        };
        while (failure().empty() && waits()) {
            world_.halted = false;
            schedule run{world_.setup.schedule_seed + ++rounds_, {.switch_permille = world_.setup.switch_permille}};
            for (std::size_t i = 0; i < queues_.size(); ++i) {
                if (queues_[i].empty()) continue;
                run.spawn("thread " + std::to_string(i), [this, i] { live(i); });
            }
            const auto report = run.run();
            world_.counts.switches += report.switches;
            world_.hash.add(report.trace);
            if (!report.stuck.empty()) {
                stuck_ = true;
                return world_.fail(report.stuck);
            }
            if (auto broken = world_.disk.objection(); !broken.empty()) world_.fail(std::move(broken));
            if (failure().empty() && world_.writing_ended()) lives_.recover(world_.cut_seed);
        }
    }

    void live(std::size_t thread) {
        auto& queue = queues_[thread];
        while (!world_.halted && !queue.empty()) {
            const auto step = queue.front();
            queue.pop_front();
            perform(step, thread);
            schedule::point();
        }
    }

    void perform(const simulated_step& step, std::size_t thread) {
        auto& store = world_.opened;
        switch (step.verb) {
            case simulated_verb::read: return reads_.read(step, thread);
            case simulated_verb::sync: return changes_.promise("sync", [&] { return store.sync(); });
            case simulated_verb::checkpoint: return changes_.promise("checkpoint", [&] { return store.checkpoint(); });
            case simulated_verb::maintain:
            case simulated_verb::trim:
            case simulated_verb::verify:
            case simulated_verb::wait: return upkeep_.tend(step);
            case simulated_verb::fail_read: return plan(transfer_kind::read, step);
            case simulated_verb::fail_write: return plan(transfer_kind::write, step);
            case simulated_verb::fail_sync: return plan(transfer_kind::sync, step);
            case simulated_verb::fail_trim: return plan(transfer_kind::trim, step);
            case simulated_verb::rot: return rot(step, thread);
            case simulated_verb::cut_after: return cut_later(step);
            default:
                if (thread < world_.owners.size()) changes_.change(step, world_.owners[thread]);
        }
    }

    // Trouble. -------------------------------------------------------------------------------------------------------

    void plan(transfer_kind kind, const simulated_step& step) {
        world_.cut_seed = step.seed;
        world_.disk.faults().fail(kind, step.a, step.b % 4 == 0 ? fault_lasts::for_good : fault_lasts::once);
    }

    void cut_later(const simulated_step& step) {
        if (!world_.disk.cut().powered()) return;  // or it would come back without a restart
        world_.cut_seed = step.seed;
        world_.disk.cut().cut_after(step.a);
    }

    /// Most bits rot where an object's bytes are, the others anywhere.
    void rot(const simulated_step& step, std::size_t thread) {
        block_index block{step.a % world_.setup.blocks};
        const auto  id = thread < world_.owners.size() ? world_.owners[thread].slots[step.slot] : object_id{};
        if (id != object_id{} && step.seed % 4 != 0) {
            const auto piece = world_.opened.next_extent(id, {});
            if (piece && piece.value()) {
                const auto physical = piece.value()->physical;
                block               = physical.first + block_count{step.a % physical.count.value};
            }
        }
        world_.rotten = true;
        world_.disk.faults().flip_bit(block, static_cast<std::uint32_t>(step.b));
        simulated_step look = step;
        look.owner          = thread;
        look.a              = 0;
        look.b              = std::uint64_t{world_.setup.block_bytes} * simulated_object_blocks;
        reads_.read(look, thread);
    }

    simulated_world<B>   world_;
    simulated_lives<B>   lives_{world_};
    simulated_changes<B> changes_{world_};
    simulated_reads<B>   reads_{world_};
    simulated_upkeep<B>  upkeep_{world_};

    std::vector<std::deque<simulated_step>> queues_;  // by thread; the last is maintenance's
    std::uint64_t                           rounds_ = 0;
    bool                                    stuck_  = false;
};

}  // namespace ashlar::inline v0
