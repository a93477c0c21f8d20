#pragma once
/// A volume copied to another one, also while it is in use: what holds data, in passes, resumable.

#include <ashlar/copy/copy_estimate.hpp>
#include <ashlar/copy/copy_pipe.hpp>
#include <ashlar/copy/copy_regions.hpp>
#include <ashlar/throttle/no_throttle.hpp>

namespace ashlar::inline v0 {

/// Copies objects with their ids, attributes, holes, reserved and pinned extents, users' regions, and features with all
/// that they own, into an empty volume of the same block size, of any other size and with records of any width that has
/// room for the features' bytes. Metadata is made anew; what is read is proved by the source's checksums, and the
/// target makes its own.
///
/// The target's features are the source's: the same bits, widths and types of regions; where their bytes stand in a
/// record may differ. Features that come or go in a source in use do so in the target with the next pass, or `finish`;
/// what they keep in records changes no generation, so every pass compares it. It is copied as it is: ids of objects
/// are the same in the target, places of blocks are not.
///
/// The target is a volume like any other meanwhile, and safe against power cuts. A region COPY in it says whose copy it
/// is, and goes as the last step: a volume that has it is not complete. A copy that was stopped or cut, on either side,
/// goes on in another `volume_copy` on the same two volumes; the source must not have been replaced by an older image
/// of itself meanwhile, which is noticed only where it shows in its newest generation. Each object of the target says
/// by its generation whether it is as the source has it; so nothing else has to be remembered, and nothing that was
/// lost is believed.
///
/// With `in_use` the source may be changed between and during steps: passes follow over what changed, until a pass
/// copied little. Then `step` says `nothing_to_gain`, its phase is `caught_up`, and `finish` copies the rest. Without
/// it, the last step finishes by itself. Precondition: both stores outlive it, and nobody changes the target, nor the
/// source where it is not in use. Safe from: one thread at a time; others use the source meanwhile as its store says.
template <Blueprint From, Blueprint To, IoThrottle Throttle = no_throttle, Clock C = no_clock>
    requires(!Throttle::needs_clock || C::ticks)
class volume_copy {
  public:
    /// Type of the region that a volume has while it is no complete copy; nobody else should give a region that type.
    static constexpr std::uint32_t marker_type = copy_mark::name.type;

    /// Errors: invalid_argument where the block sizes differ; busy where the target holds something else, a feature
    /// that the source has not included, the source is itself no complete copy, or another copy is made of a source in
    /// use; too_large where the target's records have no room for the features, `where` is the width that they must
    /// have, see `plan_features`; damaged where a feature's row is; workspace_too_small; those of both stores.
    [[nodiscard]] static result<volume_copy> open(store<From>& from, store<To>& to, volume_copy_options chosen = {},
                                                  Throttle throttle = {}, C clock = {}) noexcept {
        const auto size = from.volume().geometry.block;
        if (to.volume().geometry.block != size || chosen.chunk.value == 0) return errc::invalid_argument;
        const block_count most{to.volume().limits.transaction.data_blocks};
        chosen = fitted(chosen, most, size);
        arena counted;
        copy_pipe<From, To>{chosen}.take(counted, chosen.memory_bytes, size);
        if (chosen.in_use) watching::count(counted);
        BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(counted.used()));
        volume_copy made{from, to, chosen, most, std::move(memory), std::move(throttle), std::move(clock)};
        BOOST_OUTCOME_TRY(made.begin());
        return made;
    }

    volume_copy(volume_copy&& other) noexcept  = default;
    volume_copy& operator=(volume_copy&&)      = delete;
    volume_copy(const volume_copy&)            = delete;
    volume_copy& operator=(const volume_copy&) = delete;
    ~volume_copy()                             = default;

    /// What is in use in the source. Errors and cost: estimate_copy.
    [[nodiscard]] result<volume_copy_estimate> estimate() noexcept { return estimate_copy(source_.of()); }
    /// Before there is a target. Errors and cost: estimate_copy.
    [[nodiscard]] static result<volume_copy_estimate> estimate(store<From>& from) noexcept {
        return estimate_copy(from);
    }

    /// Whether the target's records have room for the source's features. Where they are too narrow a `record_migration`
    /// of the target makes them wider, or it is formatted with `record_bytes` of that width and with `inline_extents`
    /// as now. Errors: damaged.
    [[nodiscard]] static result<copy_features_plan> plan_features(store<From>& from, store<To>& to) noexcept {
        return plan_copy_of_features(from, to);
    }

    /// Copies on, at most the budget's blocks and about as many records; nothing is in flight when it returns. `done`
    /// of `total` are records of this pass, `moved` is blocks of all passes. What was copied is durable when it says
    /// finished. Errors are in `failure`, with `device_error`; the next step tries again where it stopped. A source
    /// without checksums then reads the object again from its beginning.
    [[nodiscard]] progress step(step_budget budget = {}) noexcept {
        progress said;
        budget_.begin(budget);
        bool again = phase_ == copy_phase::caught_up;
        while (said.reasons.none()) {
            const auto done = std::exchange(again, false) ? next_pass() : advance(said, false);
            if (done.has_value()) continue;
            said.failure = done.error();
            said.reasons |= stop_reason::device_error;
        }
        said.phase = static_cast<std::uint32_t>(phase_);
        said.done  = pipe_.walk().record();
        said.total = pipe_.walk().end();
        said.moved = result_.blocks;
        return said;
    }

    /// Copies what is left, without budget and throttle, and makes the target complete: it is then the source at one
    /// moment of this call, whatever is not durable there included. Where the source has threads its writers wait
    /// meanwhile; with one thread nobody could write. No open transaction's changes are in it. Errors: those of both
    /// stores; `raced` where somebody wrote to the source all the same. Call it again, or step on. Where the last
    /// change of all failed, the target decides when it is opened again: without a region COPY it is complete.
    [[nodiscard]] result<> finish() noexcept {
        if (phase_ == copy_phase::finished) return success();
        still_volume still{source_.volume()};
        BOOST_OUTCOME_TRY(still.await_writes());
        for (int passes = phase_ == copy_phase::caught_up ? 1 : 2; passes > 0; --passes) {
            if (phase_ == copy_phase::caught_up) begin_pass();
            while (phase_ != copy_phase::caught_up) {
                progress said;
                budget_.lift();
                BOOST_OUTCOME_TRY(advance(said, true));
            }
        }
        if (raced_ != 0) return errc::raced;
        return complete();
    }

    /// What was copied since this task was opened.
    [[nodiscard]] const volume_copy_result& last_result() const noexcept { return result_; }

  private:
    using watching = source_watch<typename store<From>::volume_type>;

    volume_copy(store<From>& from, store<To>& to, const volume_copy_options& chosen, block_count write_max,
                aligned_buffer&& memory, Throttle&& throttle, C&& clock) noexcept
        : options_{chosen},
          memory_{std::move(memory)},
          source_{from},
          target_{to, std::min(write_max, block_count{256})},
          pipe_{chosen},
          budget_{std::move(throttle), std::move(clock)} {}

    // The beginning and the end: the mark. ---------------------------------------------------------------------------

    result<> begin() noexcept {
        arena from{memory_.bytes()};
        pipe_.take(from, options_.memory_bytes, target_.volume().geometry.block);
        BOOST_OUTCOME_TRY(const auto mark, look_for_copy(source_.of(), target_.of(), pipe_.scratch()));
        result_.resumed = mark.has_value();
        // An older image of the source gives its numbers again: then every object is copied, or compared, anew.
        const bool known = mark && mark->durable <= source_.newest_generation();
        if (known) durable_ = trusted_ = mark->durable;
        BOOST_OUTCOME_TRY(const auto features, plan_features(source_.of(), target_.of()));
        if (features.obstacle == errc::too_large) return error{errc::too_large, block_index{features.width}};
        if (features.obstacle == errc::busy && !mark) return errc::busy;  // what a copy goes on with is made equal
        if (options_.in_use) { BOOST_OUTCOME_TRY(watching_.begin(source_.volume(), from)); }
        BOOST_OUTCOME_TRY(note_durable(!known));
        result_.total = source_.volume().geometry.blocks;
        began_        = budget_.now();
        begin_pass();
        return success();
    }

    /// Notes in the mark up to where the source can lose nothing any more. Errors: those of both stores.
    result<> note_durable(bool always) noexcept {
        BOOST_OUTCOME_TRY(const auto durable, source_.make_durable(durable_));
        if (durable == durable_ && !always) return success();
        BOOST_OUTCOME_TRY(copy_mark::of(source_.volume().id, durable).write(target_.of(), pipe_.scratch()));
        durable_ = durable;
        return success();
    }
    result<> complete() noexcept {
        BOOST_OUTCOME_TRY(target_.of().sync());
        if (store_regions{target_.of()}.find(copy_mark::name).has_value()) {  // else the checkpoint failed before
            BOOST_OUTCOME_TRY(store_regions{target_.of()}.remove(copy_mark::name));
        }
        BOOST_OUTCOME_TRY(target_.of().checkpoint());
        phase_           = copy_phase::finished;
        result_.finished = true;
        result_.took     = budget_.now() - began_;
        return success();
    }

    // Passes. --------------------------------------------------------------------------------------------------------

    void begin_pass() noexcept {
        pipe_.walk().begin(std::max(source_.records(), target_.records()), trusted_);
        raced_    = 0;
        copied_   = {};
        phase_    = copy_phase::objects;
        features_ = false;
        ++result_.passes;
    }

    /// After the first pass every object that is whole was made or proved by this copy.
    result<> end_pass(progress& said, bool finishing) noexcept {
        const bool first = trusted_ != everything;
        const auto last  = std::exchange(copied_before_, copied_);
        const auto limit = std::max<std::uint32_t>(1, options_.passes_max);
        const bool small = raced_ == 0 && copied_ <= options_.rest_max;
        const bool turns = result_.passes >= limit || (!first && copied_ >= last);  // it does not get less
        trusted_         = everything;
        if (!options_.in_use && raced_ == 0) {
            if (!finishing) {
                BOOST_OUTCOME_TRY(complete());
                said.reasons |= stop_reason::finished;
            } else {
                phase_ = copy_phase::caught_up;
            }
        } else if (finishing || small || turns) {
            phase_ = copy_phase::caught_up;
            said.reasons |= stop_reason::nothing_to_gain;
            if (raced_ != 0) said.reasons |= stop_reason::raced;
        } else {
            return next_pass();
        }
        return success();
    }
    result<> next_pass() noexcept {
        BOOST_OUTCOME_TRY(note_durable(false));
        begin_pass();
        return success();
    }

    result<> advance(progress& said, bool finishing) noexcept {
        switch (phase_) {
            case copy_phase::objects: return copy_objects(said);
            case copy_phase::regions: return copy_region(said, finishing);
            case copy_phase::caught_up: said.reasons |= stop_reason::nothing_to_gain; break;
            case copy_phase::finished: said.reasons |= stop_reason::finished; break;
        }
        return success();
    }

    result<> copy_objects(progress& said) noexcept {
        if (!features_) {
            BOOST_OUTCOME_TRY(source_.begin_pass());
            BOOST_OUTCOME_TRY(target_.begin_pass(source_.features()));
            features_ = true;
        }
        BOOST_OUTCOME_TRY(
            pipe_.run(source_, target_, budget_, said, [&](const typename copy_pipe<From, To>::outcome& done) noexcept {
                result_.objects += done.whole;
                result_.kept = pipe_.walk().kept();
                raced_ += done.raced;
                count(done.copied);
            }));
        if (!pipe_.walk().over()) return success();
        raced_ += source_.features_changed() ? 1U : 0U;
        regions_.begin(source_.of(), watching_.get(), trusted_ != everything);
        phase_ = copy_phase::regions;
        return success();
    }

    result<> copy_region(progress& said, bool finishing) noexcept {
        typename copy_regions<From, To>::outcome sum;
        const auto                               more =
            regions_.step(source_.of(), target_, pipe_.lanes(target_.volume().geometry.block), budget_, said, sum);
        result_.regions += sum.regions;
        raced_ += sum.raced;
        count(sum.copied);
        if (more.has_error()) return more.error();
        if (more.value()) return success();
        BOOST_OUTCOME_TRY(sync_target());
        return end_pass(said, finishing);
    }
    /// What was written to regions is durable before anything says that the copy is whole.
    result<> sync_target() noexcept {
        const entered guard{target_.volume()};
        return sync_regions(target_.volume());
    }

    void count(block_count copied) noexcept {
        copied_ += copied;
        result_.blocks += copied;
        result_.bytes += bytes_of(copied, target_.volume().geometry.block);
    }

    static constexpr std::uint64_t everything = ~std::uint64_t{0};

    volume_copy_options      options_;
    aligned_buffer           memory_;
    watching                 watching_{};
    copy_source<From>        source_;
    copy_target<From, To>    target_;
    copy_pipe<From, To>      pipe_;
    copy_regions<From, To>   regions_{};
    copy_budget<Throttle, C> budget_;
    copy_phase               phase_    = copy_phase::objects;
    bool                     features_ = false;  ///< The target has those of this pass.
    std::uint64_t            durable_  = 0;      ///< As the mark says.
    std::uint64_t            trusted_  = 0;      ///< Generations up to this one are whole where they are equal.
    std::uint64_t            raced_ = 0;  ///< Objects, regions and features that changed while this pass copied them.
    block_count              copied_{};   ///< In this pass,
    block_count              copied_before_{};  ///< and in the one before.
    time_point               began_{};
    volume_copy_result       result_{};
};

}  // namespace ashlar::inline v0
