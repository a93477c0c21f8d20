#pragma once
/// Adding a feature as one task, whichever way it takes.

#include <ashlar/features.hpp>

namespace ashlar::inline v0 {

/// Adds a feature in steps that its owner drives, while the store is in use: where records are too narrow they migrate
/// first. Stopped, killed or cut at any step, the same request goes on where it was, in another process too.
/// Precondition: the store outlives it and stays open; its handle may move. Safe from: one thread at a time.
template <Blueprint B>
class feature_addition {
  public:
    using options = typename record_migration<B>::options;

    feature_addition(store<B>& of, const feature_request& wanted, options chosen = {}) noexcept
        : store_{of.beside()}, features_{of}, migration_{of, chosen}, wanted_{wanted} {}

    /// What adding it would take from now on. Errors: those of store_features::can_add.
    [[nodiscard]] result<feature_plan> plan() noexcept { return features_.can_add(wanted_); }

    /// Steps do nothing until `resume`, but for undoing what was cancelled.
    void pause() noexcept {
        paused_ = true;
        migration_.pause();
    }
    void resume() noexcept {
        paused_ = false;
        migration_.resume();
    }
    /// The next steps undo a migration. Where it is too late for that records stay wide; the feature is not added.
    void cancel() noexcept {
        cancelled_ = true;
        migration_.cancel();
    }

    /// Works on, within the budget. `done` and `total` count records, while they migrate. Reasons besides those of
    /// record_migrator::step: `nothing_to_gain` with `finished` where the store has this feature already; `finished`
    /// with a `failure` where it cannot be added, and nothing was; `raced` where an open transaction is in the way, and
    /// the next step tries again. What was done is durable when it says finished.
    [[nodiscard]] progress step(step_budget budget = {}) noexcept {
        for (;;) {
            progress said;
            if (!paused_ && !cancelled_ && !migrates_ && migration_.phase() == migration_phase::none) {
                if (!add(said)) return said;
            }
            said = migration_.step(budget);
            if (!said.reasons.has(stop_reason::finished) && !said.reasons.has(stop_reason::cancelled)) return said;
            migrates_ = false;
            if (cancelled_) said.reasons = stop_reason::cancelled;
            if (std::exchange(cancelled_, false) || !migration_.last_result().finished) return said;
        }
    }

    /// The way that it took, or takes.
    [[nodiscard]] feature_way way() const noexcept { return way_; }

  private:
    /// Whether a migration has to come first. Else this is the end, for the reasons said.
    [[nodiscard]] bool add(progress& said) noexcept {
        said.reasons = stop_reason::finished;
        if (features_.has(wanted_)) {
            if (!std::exchange(added_, false)) said.reasons |= stop_reason::nothing_to_gain;
            save(said);
            return false;
        }
        const auto added = features_.add(wanted_);
        if (added.has_error()) {
            said.failure = added.error();
            if (added.error().code == errc::busy && is_possible()) said = {.reasons = stop_reason::raced};
            return false;
        }
        if (way_ != feature_way::record_migration) way_ = added.value().way;
        switch (added.value().way) {
            case feature_way::record_migration:
                migration_.start({.record_bytes = added.value().width});
                migrates_ = true;
                return true;
            case feature_way::volume_copy: said.failure = errc::no_contiguous_space; return false;
            default:
                added_ = true;
                save(said);
                return false;
        }
    }

    /// Whether it is for nothing that lasts that it could not be added.
    [[nodiscard]] bool is_possible() noexcept {
        const auto asked = plan();
        return asked && asked.value().obstacle == errc::none;
    }

    void save(progress& said) noexcept {
        const entered guard{store_.volume(), store_.time()};
        const auto    done = flush(store_.volume());
        if (done.has_value()) {
            added_ = false;
            return;
        }
        said.reasons = done.error().code == errc::busy ? stop_reason::raced : stop_reason::device_error;
        said.failure = done.error();
    }

    typename store<B>::companion store_;
    store_features<B>            features_;
    record_migration<B>          migration_;
    feature_request              wanted_;
    feature_way                  way_       = feature_way::spare_bytes;
    bool                         paused_    = false;
    bool                         cancelled_ = false;
    bool                         migrates_  = false;  ///< A migration was started here.
    bool                         added_     = false;  ///< Here, and not durable yet.
};

template <Blueprint B>
feature_addition(store<B>&, const feature_request&) -> feature_addition<B>;

}  // namespace ashlar::inline v0
