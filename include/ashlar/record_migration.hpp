#pragma once
/// Object records of another width: the task beside its store.

#include <ashlar/maintenance/record_migrator.hpp>
#include <ashlar/store.hpp>

namespace ashlar::inline v0 {

/// A migration of a store's records, in steps that its owner drives, with the blueprint's throttle and clock. One that
/// a crash or a stop left under way goes on at the first step. Precondition: the store outlives it and stays open; its
/// handle may move. Safe from: one thread at a time; others use the store meanwhile.
template <Blueprint B>
class record_migration {
  public:
    struct options {
        typename B::throttle::options throttle{};
        typename B::clock             clock{};
    };

    explicit record_migration(store<B>& of, options chosen = {}) noexcept
        : store_{of.beside()}, task_{of.beside().throttle(chosen.throttle), chosen.clock} {}

    /// A migration begins at the next step; see record_migrator.
    void start(record_target target) noexcept { task_.start(target); }
    /// Steps do nothing until `resume`, but for undoing what was cancelled.
    void pause() noexcept { task_.pause(); }
    void resume() noexcept { task_.resume(); }
    /// The next steps undo it; after the swap it is too late. See record_migrator.
    void cancel() noexcept { task_.cancel(); }

    /// Works on, within the budget; `done` and `total` count records. Reasons: record_migrator.
    [[nodiscard]] progress step(step_budget budget = {}) noexcept { return task_.step(store_.volume(), budget); }
    /// What a migration would do, and whether it can. Errors and cost: plan_record_migration.
    [[nodiscard]] result<record_migration_plan> plan(const record_target& target) noexcept {
        return task_.plan(store_.volume(), target);
    }
    /// Of the migration that this object stepped last.
    [[nodiscard]] const record_migration_result& last_result() const noexcept { return task_.last_result(); }

    /// Whether one is under way in the store, and what it does next.
    [[nodiscard]] migration_phase phase() noexcept {
        const entered guard{store_.volume()};
        return store_.volume().migration.phase;
    }

  private:
    using volume_type = typename store<B>::volume_type;

    typename store<B>::companion                                          store_;
    record_migrator<volume_type, typename B::throttle, typename B::clock> task_;
};

template <Blueprint B>
record_migration(store<B>&) -> record_migration<B>;

}  // namespace ashlar::inline v0
