#pragma once
/// A volume copied to another one, also while it is in use: what holds data, in passes, resumable.

#include <ashlar/copy/copy_estimate.hpp>
#include <ashlar/copy/copy_regions.hpp>
#include <ashlar/copy/copy_walk.hpp>
#include <ashlar/throttle/no_throttle.hpp>

namespace ashlar::inline v0 {

/// Copies objects with their ids, attributes, holes, reserved and pinned extents, and users' regions, into an empty
/// volume of the same block size, of any other size and with records of any width. Metadata is made anew; what is read
/// is proved by the source's checksums, and the target makes its own.
///
/// The target is a volume like any other meanwhile, and safe against power cuts. A region COPY in it says whose copy it
/// is, and goes as the last step: a volume that has it is not complete. A copy that was stopped or cut, on either side,
/// goes on in another `volume_copy` on the same two volumes. Each object of the target says by its generation whether
/// it is as the source has it; so nothing else has to be remembered, and nothing that was lost is believed.
///
/// With `in_use` the source may be changed between and during steps: passes follow over what changed, until a pass
/// copied little. Then `step` says `nothing_to_gain`, its phase is `caught_up`, and `finish` copies the rest. Without
/// it, the last step finishes by itself. Precondition: both stores outlive it, and nobody changes the target, nor the
/// source where it is not in use. Safe from: one thread at a time; others use the source meanwhile as its store says.
template <Blueprint From, Blueprint To, IoThrottle Throttle = no_throttle, Clock C = no_clock>
    requires(!Throttle::needs_clock || C::ticks)
class volume_copy {
  public:
    static constexpr std::uint32_t marker_type = copy_mark::name.type;

    /// Errors: invalid_argument where the block sizes differ; busy where the target holds something else, the source is
    /// itself no complete copy, or another copy is made of a source in use; workspace_too_small; those of both stores.
    [[nodiscard]] static result<volume_copy> open(store<From>& from, store<To>& to, volume_copy_options chosen = {},
                                                  Throttle throttle = {}, C clock = {}) noexcept {
        const auto size = from.volume().geometry.block;
        if (to.volume().geometry.block != size || chosen.chunk.value == 0) return errc::invalid_argument;
        const block_count most{to.volume().limits.transaction.data_blocks};
        chosen.chunk           = std::min(chosen.chunk, most);
        chosen.chunks_together = static_cast<std::uint32_t>(
            std::clamp<std::uint64_t>(quotient_of(most.value, chosen.chunk.value), 1, chosen.chunks_together));
        const auto least    = static_cast<std::size_t>(bytes_of(chosen.chunk, size)) * 4;
        chosen.memory_bytes = std::max(chosen.memory_bytes, least);
        arena counted;
        lay_out(counted, chosen, size, nullptr);
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

    [[nodiscard]] result<volume_copy_estimate> estimate() noexcept { return estimate_copy(source_.of()); }
    /// Before there is a target. Errors and cost: estimate_copy.
    [[nodiscard]] static result<volume_copy_estimate> estimate(store<From>& from) noexcept {
        return estimate_copy(from);
    }

    /// Copies on, at most the budget's blocks and about as many records; nothing is in flight when it returns. What was
    /// copied is durable when it says finished. Errors are in `failure`, with `device_error`; the next step tries again
    /// where it stopped. A source without checksums then reads the object again from its beginning.
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
        said.done  = walk_.record();
        said.total = walk_.end();
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

    [[nodiscard]] const volume_copy_result& last_result() const noexcept { return result_; }

  private:
    /// The watch of a source that is written, for as long as this lives.
    class watching {
      public:
        watching() noexcept = default;
        watching(watching&& other) noexcept
            : volume_{std::exchange(other.volume_, nullptr)}, watch_{std::exchange(other.watch_, nullptr)} {}
        watching& operator=(watching&&) = delete;
        ~watching() {
            if (volume_ == nullptr) return;
            const entered guard{*volume_};
            volume_->region_traffic.watch = nullptr;
        }
        result<> begin(typename store<From>::volume_type& volume, region_watch* watch) noexcept {
            const entered guard{volume};
            if (volume.region_traffic.watch != nullptr) return errc::busy;
            volume.region_traffic.watch = watch_ = watch;
            volume_                              = &volume;
            return success();
        }
        [[nodiscard]] region_watch* get() const noexcept { return watch_; }

      private:
        typename store<From>::volume_type* volume_ = nullptr;
        region_watch*                      watch_  = nullptr;
    };

    volume_copy(store<From>& from, store<To>& to, const volume_copy_options& chosen, block_count write_max,
                aligned_buffer&& memory, Throttle&& throttle, C&& clock) noexcept
        : options_{chosen},
          memory_{std::move(memory)},
          source_{from},
          target_{to, std::min(write_max, block_count{256})},
          walk_{chosen, true},
          budget_{std::move(throttle), std::move(clock)} {}

    static constexpr std::size_t watch_words = 32 * 1024 / sizeof(bitmap_word);

    static void lay_out(arena& from, const volume_copy_options& chosen, block_size size, volume_copy* made) noexcept {
        const auto half = static_cast<std::size_t>(bytes_of(whole_blocks(chosen.memory_bytes / 2, size), size));
        copy_batch first, second;
        first.take(from, half, metadata_cache::io_alignment(size));
        second.take(from, half, metadata_cache::io_alignment(size));
        const auto words = from.take<bitmap_word>(chosen.in_use ? watch_words : 0);
        const auto watch = from.take<region_watch>(1);
        if (made == nullptr) return;
        made->batches_[0] = first;
        made->batches_[1] = second;
        made->watch_      = watch.data();
        if (chosen.in_use) *made->watch_ = region_watch{words};
    }

    // The beginning and the end: the mark. ---------------------------------------------------------------------------

    result<> begin() noexcept {
        arena from{memory_.bytes()};
        lay_out(from, options_, target_.volume().geometry.block, this);
        if (store_regions{source_.of()}.find(copy_mark::name).has_value()) return errc::busy;
        BOOST_OUTCOME_TRY(const bool empty, is_empty_volume(target_.of()));
        const bool marked = store_regions{target_.of()}.find(copy_mark::name).has_value();
        if (!empty && !marked) return errc::busy;
        if (!empty) {  // an empty one may have been cut before its mark was written
            BOOST_OUTCOME_TRY(const auto mark, copy_mark::read(target_.of(), scratch()));
            if (!mark.names(source_.volume().id)) return errc::busy;
            durable_ = trusted_ = mark.durable;
            result_.resumed     = true;
        }
        if (options_.in_use) { BOOST_OUTCOME_TRY(watching_.begin(source_.volume(), watch_)); }
        BOOST_OUTCOME_TRY(note_durable(!marked || empty));
        result_.total = source_.volume().geometry.blocks;
        began_        = budget_.now();
        begin_pass();
        return success();
    }

    /// Notes in the mark up to where the source can lose nothing any more. Errors: those of both stores.
    result<> note_durable(bool always) noexcept {
        BOOST_OUTCOME_TRY(const auto durable, source_.make_durable(durable_));
        if (durable == durable_ && !always) return success();
        BOOST_OUTCOME_TRY(copy_mark::of(source_.volume().id, durable).write(target_.of(), scratch()));
        durable_ = durable;
        return success();
    }
    [[nodiscard]] std::span<std::byte> scratch() const noexcept { return batches_[0].memory_left(); }

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
        walk_.begin(std::max(source_.records(), target_.records()), trusted_);
        raced_  = 0;
        copied_ = {};
        phase_  = copy_phase::objects;
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

    /// While one batch is read the one before is written. Afterwards both are empty and nothing is in flight.
    result<> copy_objects(progress& said) noexcept {
        result<> done = success();
        for (std::size_t turn = 0; done.has_value(); turn ^= 1U) {
            auto& reading = batches_[turn];
            auto& writing = batches_[turn ^ 1U];
            if (said.reasons.none()) done = walk_.fill(reading, source_, target_, budget_, said);
            if (done.has_value()) done = source_.begin_reads(reading);
            if (done.has_value()) done = write(writing);
            const auto read = source_.await_reads();
            if (done.has_value()) done = read;
            if (done.has_error() || reading.empty()) break;
        }
        for (auto& batch : batches_) drop(batch);
        if (done.has_value() && walk_.over()) {
            regions_.begin(watching_.get(), trusted_ != everything);
            phase_ = copy_phase::regions;
        }
        return done;
    }

    result<> write(copy_batch& batch) noexcept {
        const auto done = target_.run(batch, source_);
        if (done.has_error()) return done.error();
        result_.objects += done.value().whole;
        count(done.value().copied);
        raced_ += done.value().raced;
        result_.kept = walk_.kept();
        for (const auto& one : batch.acts()) budget_.give_back(one.granted);
        batch.clear();
        return success();
    }
    /// After an error: the walk goes back to the first object that is not done.
    void drop(copy_batch& batch) noexcept {
        for (const auto& one : batch.acts()) budget_.give_back(one.granted);
        if (!batch.empty()) walk_.go_back(batch.objects().front().record);
        batch.clear();
    }

    result<> copy_region(progress& said, bool finishing) noexcept {
        typename copy_regions<From, To>::outcome sum;
        const auto more = regions_.step(source_.of(), target_.of(), scratch(), budget_, said, sum);
        result_.regions += sum.regions;
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
    copy_batch               batches_[2]{};
    region_watch*            watch_ = nullptr;
    watching                 watching_{};
    copy_source<From>        source_;
    copy_target<From, To>    target_;
    copy_walk<From, To>      walk_;
    copy_regions<From, To>   regions_{};
    copy_budget<Throttle, C> budget_;
    copy_phase               phase_   = copy_phase::objects;
    std::uint64_t            durable_ = 0;      ///< As the mark says.
    std::uint64_t            trusted_ = 0;      ///< Generations up to this one are whole where they are equal.
    std::uint64_t            raced_   = 0;      ///< Objects of this pass that changed while they were copied.
    block_count              copied_{};         ///< In this pass,
    block_count              copied_before_{};  ///< and in the one before.
    time_point               began_{};
    volume_copy_result       result_{};
};

}  // namespace ashlar::inline v0
