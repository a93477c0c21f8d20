#pragma once
/// A scenario on a store of any blueprint, cut everywhere, its recovery cut too: one call, findings as sentences.

#include <ashlar/testing/crash_judge.hpp>
#include <ashlar/testing/crash_states.hpp>

#include <memory>
#include <unordered_set>

namespace ashlar::inline v0 {

/// One state in so many, chosen by a seed; all of them by default. The samples of one seed that differ in `which` have
/// no state in common, and from 0 to one_in - 1 they are all states.
struct crash_sample {
    std::uint64_t one_in = 1;  ///< 0: none.
    std::uint64_t seed   = 1;
    std::uint64_t which  = 0;

    [[nodiscard]] bool takes(std::uint64_t number) const noexcept {
        if (one_in <= 1) return one_in == 1;
        return random_bits{seed * 0x9E37'79B9'7F4A'7C15U + number}.next() % one_in == which;
    }
};

/// What of a recording is looked at. Depth 1 is a cut in the recovery from a cut, depth 2 a cut in the recovery from
/// that one.
struct crash_plan {
    crash_effort  effort{.random_max = 2, .single_max = 8, .tears_max = 16};
    crash_effort  effort_in_recovery{.random_max = 1, .single_max = 2, .tears_max = 2};
    crash_sample  states{};                               ///< Of all states: which are judged.
    crash_sample  recoveries{.one_in = 0};                ///< Of those: whose recovery is cut.
    crash_sample  recoveries_of_recoveries{.one_in = 0};  ///< Of the states in these: whose recovery is cut again.
    std::uint64_t findings_max = 3;                       ///< It ends at so many.
};

/// What a proof found and looked at. States that are byte for byte like one that was judged before, and may hold the
/// same, are counted once.
struct crash_report {
    std::vector<std::string> findings;      ///< What was wrong, and in which state; empty when all is well.
    std::uint64_t            writes   = 0;  ///< Of the recorded scenario.
    std::uint64_t            states   = 0;  ///< Judged.
    std::uint64_t            states_1 = 0;  ///< Judged after a cut in a recovery.
    std::uint64_t            states_2 = 0;  ///< Judged after a cut in the recovery from such a cut.
    std::uint64_t            repeats  = 0;  ///< Met again, at any depth.

    void add(const crash_report& other) {
        findings.insert(findings.end(), other.findings.begin(), other.findings.end());
        writes += other.writes;
        states += other.states;
        states_1 += other.states_1;
        states_2 += other.states_2;
        repeats += other.repeats;
    }
};

/// Cuts recordings of one setup. Memory: 18 images with recoveries.
template <class Store>
class crash_cutter {
  public:
    crash_cutter(const crash_setup<Store>& setup, const crash_plan& plan)
        : setup_{setup}, plan_{plan}, judge_{setup}, player_{setup.block, setup.blocks} {}

    /// Cost: for each state one or two opens and two runs of the verifier, about half a millisecond on a small volume.
    crash_report cut(const crash_recording& recording) {
        report_          = {};
        report_.findings = recording.findings;
        report_.writes   = recording.writes();
        recording_       = &recording;
        for (auto& one : seen_) one.clear();
        player_.play(recording.calls, recording.base, 0, plan_.effort,
                     [&](const crash_point& at, scratch_image& image) {
                         if (!plan_.states.takes(++outer_)) return true;
                         at_[0] = at;
                         return look_at(0, image, plan_.recoveries.takes(outer_), report_.states);
                     });
        return std::move(report_);
    }

  private:
    /// What cutting a recovery needs.
    struct level {
        explicit level(const crash_setup<Store>& setup) : player{setup.block, setup.blocks} {}
        crash_player           player;
        std::vector<std::byte> image;  ///< What the recovery finds.
        std::vector<std::byte> work;
        std::uint64_t          digest = 0;
    };

    [[nodiscard]] bool is_enough() const noexcept { return report_.findings.size() >= plan_.findings_max; }

    /// Judges a state that was not met before, and goes deeper. Answers whether to go on.
    bool look_at(std::size_t depth, scratch_image& image, bool goes_deeper, std::uint64_t& count) {
        if (!is_new(depth)) {
            ++report_.repeats;
            return true;
        }
        if (goes_deeper) keep(depth, image);
        judge(depth, image, ++count);
        if (goes_deeper && !is_enough()) cut_recovery(depth + 1);
        return !is_enough();
    }

    /// What was met at this depth or a shallower one was cut as deep as it would be now; and what passed, passes later,
    /// when more has begun, unless more was promised meanwhile.
    bool is_new(std::size_t depth) {
        const auto promised = recording_->history.allowed(at_[0].calls).first;
        const auto key      = random_bits{at_[depth].digest + promised}.next();
        for (std::size_t i = 0; i < depth; ++i) {
            if (seen_[i].count(key) != 0) return false;
        }
        return seen_[depth].insert(key).second;
    }

    void judge(std::size_t depth, scratch_image& image, std::uint64_t number) {
        const auto problem = judge_.examine(image, recording_->history, at_[0].calls, number);
        if (problem.empty()) return;
        const auto& history = recording_->history;
        auto        text    = problem + "\n  the power went after call " + std::to_string(at_[0].calls) + " of " +
                    std::to_string(recording_->calls.size()) + ", in operation " +
                    history.text(history.allowed(at_[0].calls).last) + ", and left " + text_of(at_[0].choice);
        for (std::size_t i = 1; i <= depth; ++i) {
            text += "\n  then after call " + std::to_string(at_[i].calls) + " of the recovery, and left " +
                    text_of(at_[i].choice);
        }
        report_.findings.push_back(std::move(text));
    }

    void keep(std::size_t depth, const scratch_image& image) {
        if (levels_[depth] == nullptr) levels_[depth] = std::make_unique<level>(setup_);
        levels_[depth]->image.assign(image.bytes().begin(), image.bytes().end());
        levels_[depth]->digest = at_[depth].digest;
    }

    /// Records the recovery from what the cut before it left, and judges every state in which a cut may leave that.
    void cut_recovery(std::size_t depth) {
        auto& here = *levels_[depth - 1];
        here.work  = here.image;
        auto lent  = memory_device::lend(here.work, setup_.block);
        ASHLAR_ASSERT(lent.has_value());
        any_device       memory{lent.value()};
        recording_device recorded{memory};
        any_device       top{recorded};
        if (auto opened = setup_.open_on(top, workspace_)) static_cast<void>(opened.value().abandon());
        here.player.play(recorded.calls(), here.image, here.digest, plan_.effort_in_recovery,
                         [&](const crash_point& at, scratch_image& image) {
                             at_[depth] = at;
                             if (depth == 2) return look_at(2, image, false, report_.states_2);
                             return look_at(1, image, plan_.recoveries_of_recoveries.takes(++inner_), report_.states_1);
                         });
    }

    crash_setup<Store>                setup_;
    crash_plan                        plan_;
    crash_judge<Store>                judge_;
    crash_player                      player_;
    aligned_buffer                    workspace_;
    std::unique_ptr<level>            levels_[2];
    crash_report                      report_;
    const crash_recording*            recording_ = nullptr;
    std::unordered_set<std::uint64_t> seen_[3];
    crash_point                       at_[3]{};  // the cut, the one in its recovery, the one in the recovery from that
    std::uint64_t                     outer_ = 0;  // states seen so far, of all recordings: what samples are drawn from
    std::uint64_t                     inner_ = 0;  // the same within recoveries
};

/// Records `scenario(crash_recorder<Store>&)` on a fresh volume, then looks at every state in which a power cut may
/// leave it: each is opened, compared with what was promised, verified, written to and verified again.
template <class Store, class Scenario>
[[nodiscard]] crash_report prove_crash_safety(const crash_setup<Store>& setup, Scenario&& scenario,
                                              const crash_plan& plan = {}) {
    crash_recorder<Store> recorder{setup};
    if (recorder.is_open()) scenario(recorder);
    const auto recording = recorder.finish();
    return crash_cutter<Store>{setup, plan}.cut(recording);
}

}  // namespace ashlar::inline v0
