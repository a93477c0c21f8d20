#pragma once
/// Gives object records another width while the store is in use.

#include <ashlar/concepts/clock.hpp>
#include <ashlar/maintenance/record_copying.hpp>
#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/throttle/no_throttle.hpp>
#include <ashlar/vocabulary/progress.hpp>

namespace ashlar::inline v0 {

/// Of the migration that ended last, or of the one under way.
struct record_migration_result {
    bool            finished = false;  ///< The records have the new width, and the old table is freed.
    bool            resumed  = false;  ///< It was begun before this store was opened.
    migration_phase reached  = migration_phase::none;
    std::uint64_t   records  = 0;  ///< That were copied here.
    block_count     blocks{};      ///< Of the table that holds them now.
    duration        took{};        ///< 0 without a clock.
    error           failure{};     ///< Why it was given up, or did not begin.
};

/// Copies the object table into a wider or a narrower one, a bounded transaction at a time, and puts that in its place.
///
/// Invariants:
///  - Until the swap the table in use is the truth. A record that was copied is changed in both tables by whoever
///    changes it, with or without this object, in one transaction.
///  - How far it is stands in the journal with every copy; so after a crash at any moment it goes on there, or back.
///  - Between two steps nothing is held: a step may be the last one ever.
/// A transaction that a caller keeps open stops it at the records that it locked, and before the swap: `raced`.
/// Safe from: one thread at a time; others use the store meanwhile.
template <class Volume, IoThrottle Throttle = no_throttle, Clock C = no_clock>
    requires(!Throttle::needs_clock || C::ticks)
class record_migrator {
  public:
    explicit record_migrator(Throttle throttle = {}, C clock = {}) noexcept
        : throttle_{std::move(throttle)}, clock_{std::move(clock)} {}

    /// A migration begins at the next step. One that is under way in the volume goes on at any step, to its own target.
    void start(record_target target) noexcept {
        wanted_ = target;
        starts_ = true;
    }
    /// Steps do nothing until `resume`, but for undoing what was cancelled.
    void pause() noexcept { paused_ = true; }
    void resume() noexcept { paused_ = false; }
    /// The next steps undo it: the next table is freed. After the swap it is too late, and it ends as if not cancelled.
    /// Where others ended it meanwhile, and another one is under way, that is left alone.
    void cancel() noexcept { cancelled_ = true; }

    /// Works on, within the budget. `done` and `total` count records. Reasons besides the usual: `raced` where an open
    /// transaction is in the way, also of the beginning, which the next step tries again, as it does after
    /// `device_error`; `finished` with a `failure` where it was refused; `no_contiguous_space` where the next table
    /// cannot be placed; with `cancelled` everything is as before. What was done is durable when it says finished or
    /// cancelled.
    [[nodiscard]] progress step(Volume& volume, step_budget budget = {}) noexcept {
        progress said;
        turn     now{block_count{budget.blocks_max}, budget.candidates_max};
        if (paused_ && !cancelled_) said.reasons = stop_reason::paused;
        while (said.reasons.none()) {
            const auto done = advance(volume, now, said);
            if (done.has_error()) settle(done.error(), said);
        }
        if (unsaved_ != 0 && !said.reasons.has(stop_reason::device_error)) save(volume, said);
        const entered guard{volume};
        said.phase = static_cast<std::uint32_t>(volume.migration.phase);
        said.done  = volume.migration.migrated;
        said.total = records_used(volume, no_transaction);
        said.moved = written_;
        return said;
    }

    /// Errors and cost: plan_record_migration.
    [[nodiscard]] result<record_migration_plan> plan(Volume& volume, const record_target& target) noexcept {
        const entered guard{volume};
        BOOST_OUTCOME_TRY(auto made, plan_record_migration(volume, target));
        made.memory_bytes = sizeof(*this);
        return made;
    }

    /// Of the migration that this object stepped last.
    [[nodiscard]] const record_migration_result& last_result() const noexcept { return result_; }
    /// To change its rate while it runs. Precondition: no step is under way.
    [[nodiscard]] Throttle& throttle() noexcept { return throttle_; }

  private:
    struct turn {
        block_count   blocks{};  ///< What is left of a step.
        std::uint64_t looks = 0;
    };

    /// Does one thing: a transaction, or an end.
    result<> advance(Volume& volume, turn& now, progress& said) noexcept {
        const auto [phase, number] = look(volume);
        if (phase == migration_phase::none) return begin(volume, said);
        if (began_ && number != number_ && forget()) {
            said.reasons |= stop_reason::cancelled;
            return success();
        }
        if (!began_) note_begin(number, true);
        result_.reached = phase;
        if (now.looks == 0 || (phase == migration_phase::copying && now.blocks.value == 0)) {
            said.reasons |= stop_reason::budget_spent;
            return success();
        }
        --now.looks;
        const bool ends = phase == migration_phase::complete || phase == migration_phase::rolling_back;
        if (cancelled_ && !ends) return give_up(volume);
        switch (phase) {
            case migration_phase::allocating: return allocate(volume);
            case migration_phase::copying: return copy(volume, now, said);
            case migration_phase::swapping: return swap(volume);
            default: return free_rest(volume, phase, said);
        }
    }

    struct sight {
        migration_phase phase  = migration_phase::none;
        std::uint32_t   number = 0;
    };
    [[nodiscard]] static sight look(Volume& volume) noexcept {
        const entered guard{volume};
        return {volume.migration.phase, volume.migrations};
    }

    /// Others ended the migration, and began another one: what was true or wanted of it is not of that. Answers whether
    /// it was cancelled.
    [[nodiscard]] bool forget() noexcept {
        began_ = freeing_ = false;
        unsaved_          = 0;
        return std::exchange(cancelled_, false);
    }

    void note_begin(std::uint32_t number, bool resumed) noexcept {
        number_         = number;
        result_         = {};
        result_.resumed = resumed;
        began_          = true;
        freeing_        = false;
        written_        = {};
        began_at_       = clock_.now();
    }

    result<> begin(Volume& volume, progress& said) noexcept {
        if (!starts_ || cancelled_) {
            said.reasons |= cancelled_ ? stop_reason::cancelled : stop_reason::finished;
            if (!cancelled_) said.reasons |= stop_reason::nothing_to_gain;
            starts_ = cancelled_ = false;
            return success();
        }
        const entered guard{volume};
        note_begin(0, false);
        auto done = record_steps::begin(volume, wanted_);
        number_   = volume.migrations;
        began_    = done.has_value();
        if (!began_) result_.failure = done.error();
        if (!began_ && !is_refusal(volume, done.error().code)) return done;  // the next step tries again
        starts_ = false;
        if (began_) return done;
        said.failure = done.error();
        said.reasons |= stop_reason::finished;  // nothing is under way
        if (done.error().code == errc::no_contiguous_space) said.reasons |= stop_reason::no_contiguous_space;
        return success();
    }

    result<> allocate(Volume& volume) noexcept {
        const entered guard{volume};
        return allocate(volume, guard);
    }
    /// Space that is missing is not coming back by waiting: the migration is given up.
    result<> allocate(Volume& volume, const entered<Volume>& guard) noexcept {
        auto done = record_steps::allocate(volume);
        if (done.has_value() || !is_want_of_space(done.error().code)) return done;
        result_.failure = done.error();
        return give_up(volume, guard);
    }

    result<> copy(Volume& volume, turn& now, progress& said) noexcept {
        const auto size  = volume.geometry.block;
        const auto most  = now.blocks.value < 64 ? now.blocks : block_count{64};
        const auto grant = throttle_.acquire({bytes_of(most, size), size.bytes}, clock_.now());
        if (grant.bytes == 0) {
            said.reasons |= stop_reason::throttled;
            said.not_before = grant.not_before;
            return success();
        }
        const auto done = copy_granted(volume, whole_blocks(grant.bytes, size));
        throttle_.release(grant.bytes, clock_.now());
        BOOST_OUTCOME_TRY(const auto copied, done);
        now.blocks -= copied < now.blocks ? copied : now.blocks;
        written_ += copied;
        if (unsaved_ >= record_steps::records_per_save) save(volume, said);
        return success();
    }

    /// Answers how many blocks were written. Where all records are copied the swap follows, where there is no room for
    /// more another part.
    result<block_count> copy_granted(Volume& volume, block_count blocks) noexcept {
        const entered guard{volume};
        set_time(volume);
        BOOST_OUTCOME_TRY(const auto records, record_steps::copy_some(volume, blocks));
        result_.records += records;
        unsaved_ += records;
        const auto per_block = records_per_block(volume.geometry.block, volume.migration.record_bytes);
        if (records != 0) return record_steps::blocks_for_records(records, per_block) - block_count{1};
        if (volume.migration.migrated >= records_used(volume, no_transaction)) {
            BOOST_OUTCOME_TRY(record_steps::enter_phase(volume, migration_phase::swapping));
            return block_count{};
        }
        BOOST_OUTCOME_TRY(allocate(volume, guard));
        return block_count{};
    }

    result<> swap(Volume& volume) noexcept {
        const entered guard{volume};
        set_time(volume);
        BOOST_OUTCOME_TRY(const bool done, record_steps::swap_tables(volume));
        if (!done) return record_steps::enter_phase(volume, migration_phase::copying);
        result_.blocks = {};
        for (const auto& part : volume.regions.object_parts()) result_.blocks += part.count;
        return success();
    }

    result<> give_up(Volume& volume) noexcept {
        const entered guard{volume};
        if (volume.migrations != number_) return success();
        return give_up(volume, guard);
    }
    result<> give_up(Volume& volume, const entered<Volume>&) noexcept { return give_migration_up(volume); }

    /// Frees a part; before the first one everything goes home, so that no replay can write what is free then.
    result<> free_rest(Volume& volume, migration_phase phase, progress& said) noexcept {
        const entered guard{volume};
        if (volume.migrations != number_ || volume.migration.phase != phase) return success();  // others ended it
        const auto type = phase == migration_phase::complete ? tag::old_objects : tag::next_objects;
        if (!freeing_) {
            for (auto slots = volume.regions.slots(); slots-- > 0;) {
                const auto slot = slot_at(volume, slots);
                if (slot.type == type && record_steps::is_changed_by_others(volume, slot.place())) return errc::busy;
            }
            BOOST_OUTCOME_TRY(checkpoint(volume));
            freeing_ = true;
        }
        BOOST_OUTCOME_TRY(const bool last, record_steps::free_part(volume, type));
        if (!last) return success();
        BOOST_OUTCOME_TRY(checkpoint(volume));
        result_.finished = phase == migration_phase::complete;
        result_.took     = clock_.now() - began_at_;
        said.reasons |= result_.finished ? stop_reason::finished : stop_reason::cancelled;
        if (result_.failure.code == errc::no_contiguous_space) said.reasons |= stop_reason::no_contiguous_space;
        began_ = cancelled_ = false;
        unsaved_            = 0;
        return success();
    }

    /// Makes durable what was copied.
    void save(Volume& volume, progress& said) noexcept {
        unsaved_ = 0;
        const entered guard{volume};
        auto          done = flush(volume);
        if (done.has_error() && done.error().code != errc::busy) settle(done.error(), said);
    }

    void set_time(Volume& volume) noexcept {
        if constexpr (C::ticks) volume.now = clock_.now().nanoseconds;
    }

    [[nodiscard]] static bool is_want_of_space(errc code) noexcept {
        return code == errc::no_space || code == errc::reserve_only || code == errc::no_contiguous_space ||
               code == errc::too_large;
    }
    /// Whether it cannot begin, whoever waits; busy is one where a migration is under way.
    [[nodiscard]] static bool is_refusal(Volume& volume, errc code) noexcept {
        if (code == errc::busy) return volume.migration.phase != migration_phase::none || volume.read_only;
        return code == errc::invalid_argument || code == errc::read_only || is_want_of_space(code);
    }

    static void settle(error why, progress& said) noexcept {
        switch (why.code) {
            case errc::busy: said.reasons |= stop_reason::raced; break;
            case errc::no_contiguous_space: said.reasons |= stop_reason::no_contiguous_space; break;
            default: said.reasons |= stop_reason::device_error; said.failure = why;
        }
    }

    [[no_unique_address]] Throttle throttle_;
    [[no_unique_address]] C        clock_;
    record_target                  wanted_{};
    bool                           starts_    = false;
    bool                           paused_    = false;
    bool                           cancelled_ = false;
    bool                           began_     = false;
    bool                           freeing_   = false;  ///< Nothing of what is freed is on its way home.
    std::uint32_t                  number_    = 0;      ///< Of the migration that `began_` and `freeing_` speak of.
    std::uint64_t                  unsaved_   = 0;      ///< Records since the last sync.
    block_count                    written_{};
    time_point                     began_at_{};
    record_migration_result        result_{};
};

}  // namespace ashlar::inline v0
