#pragma once
/// A store whose work is recorded, with what it holds after each operation.

#include <ashlar/device/memory_device.hpp>
#include <ashlar/maintenance/repair_report.hpp>
#include <ashlar/maintenance/step_budget.hpp>
#include <ashlar/testing/crash_setup.hpp>
#include <ashlar/testing/order_checker.hpp>
#include <ashlar/testing/recording_device.hpp>
#include <ashlar/testing/store_history.hpp>
#include <ashlar/testing/store_model.hpp>

#include <optional>

namespace ashlar::inline v0 {

/// What a scenario did to its device, and what the store held meanwhile. To be cut anywhere.
struct crash_recording {
    block_size                 size{};
    std::vector<std::byte>     base;  ///< The device before the first call.
    std::vector<recorded_call> calls;
    store_history              history;
    std::vector<std::string>   findings;  ///< What went wrong without any cut.

    [[nodiscard]] std::uint64_t writes() const noexcept {
        std::uint64_t sum = 0;
        for (const auto& call : calls) sum += call.kind == transfer_kind::write ? 1 : 0;
        return sum;
    }
};

/// A formatted volume in memory and the store on it. Each verb works on the store and on the model; what fails for want
/// of room or because of a pin changes nothing and is no finding, every other error is one.
template <class Store>
class crash_recorder {
  public:
    explicit crash_recorder(const crash_setup<Store>& setup)
        : setup_{setup},
          memory_{make(setup)},
          checker_{memory_},
          watched_{setup.watch_order ? any_device{checker_} : any_device{memory_}},
          recording_{watched_},
          top_{recording_} {
        if (const auto done = setup_.format_on(top_); !done) report("format: " + said(done));
        open();
        model_.emplace(opened_ ? opened_->root() : object_id{});
        begin();
    }

    crash_recorder(const crash_recorder&)            = delete;
    crash_recorder& operator=(const crash_recorder&) = delete;
    ~crash_recorder() {
        if (opened_) static_cast<void>(opened_->abandon());
    }

    /// False after a failure to open: then only `finish` is left.
    [[nodiscard]] bool         is_open() const noexcept { return opened_.has_value(); }
    [[nodiscard]] Store&       store() noexcept { return *opened_; }
    [[nodiscard]] store_model& model() noexcept { return *model_; }
    [[nodiscard]] object_id    root() const noexcept { return model_->root(); }
    [[nodiscard]] std::size_t  calls() const noexcept { return recording_.calls().size(); }

    /// What happened until now becomes the base: only what follows is cut. Everything so far counts as promised, so
    /// sync before.
    void begin() {
        recording_.forget();
        log_.size = setup_.block;
        log_.base.assign(memory_.bytes().begin(), memory_.bytes().end());
        log_.history = store_history{digest_of(model_->state())};
    }

    operation_outcome write(object_id id, std::uint64_t offset, std::span<const std::byte> bytes) {
        return note(model_->write(store(), id, offset, bytes));
    }
    operation_outcome append(object_id id, std::span<const std::byte> bytes) {
        return note(model_->append(store(), id, bytes));
    }
    operation_outcome truncate(object_id id, std::uint64_t size) { return note(model_->truncate(store(), id, size)); }
    operation_outcome punch(object_id id, std::uint64_t offset, std::uint64_t length) {
        return note(model_->punch(store(), id, offset, length));
    }
    operation_outcome reserve(object_id id, std::uint64_t offset, std::uint64_t length) {
        return note(model_->reserve(store(), id, offset, length));
    }
    operation_outcome pin(object_id id, std::uint64_t offset, std::uint64_t length) {
        return note(model_->unchanged("pin", store().pin(id, offset, length)));
    }
    operation_outcome unpin(object_id id, std::uint64_t offset, std::uint64_t length) {
        return note(model_->unchanged("unpin", store().unpin(id, offset, length)));
    }
    /// The answer says which id it has.
    operation_outcome create() { return note(model_->create(store())); }
    operation_outcome erase(object_id id) { return note(model_->erase(store(), id)); }
    /// `changes(modelled_transaction&)` makes them.
    template <class Changes>
    operation_outcome transaction(Changes&& changes, bool commits = true) {
        return note(model_->transaction(store(), changes, commits));
    }
    operation_outcome sync() { return must(model_->promised("sync", store().sync())); }
    operation_outcome checkpoint() { return must(model_->promised("checkpoint", store().checkpoint())); }

    /// One step of what the store does for itself.
    operation_outcome maintain(step_budget budget = {}) {
        const auto done = store().maintain(budget);
        if (!done) return must(model_->unchanged("maintain", done));
        return must(model_->unchanged("maintain", failure_of(done.value().failure)));
    }
    /// One step of the defragmenter; of a blueprint without one, nothing.
    operation_outcome defragment(step_budget budget = {}) {
        if constexpr (requires(Store & opened) { opened.defragment(step_budget{}); })
            return must(model_->unchanged("defragment", failure_of(store().defragment(budget).failure)));
        return note(model_->unchanged("no defragmenter", result<>{success()}));
    }
    operation_outcome trim(block_count blocks_max) { return must(model_->unchanged("trim", store().trim(blocks_max))); }
    /// A run of the verifier; what it finds is a finding.
    operation_outcome verify() {
        if (const auto found = findings_of(store()); !found.empty()) report("verify: " + found);
        return note(model_->unchanged("verify", result<>{success()}));
    }

    /// A repair of what should need none; what it finds is a finding.
    operation_outcome repair() {
        std::string found;
        const auto  done = store().repair([&](const repair_finding& one) {
            found +=
                std::string{name_of(one.found.problem)} + " at block " + std::to_string(one.found.block.value) + "; ";
        });
        if (!found.empty()) report("repair: " + found);
        return must(model_->unchanged("repair", done));
    }

    /// Closes the store and opens it again.
    void reopen() {
        must(model_->promised("close", opened_->close()));
        open();
        note(model_->unchanged("open", result<>{success()}));
    }
    /// Gives the store up as a process that is killed would, and opens it again: the device loses nothing, and
    /// recovery is part of what is cut.
    void kill() {
        static_cast<void>(opened_->abandon());
        opened_.reset();
        open();
        if (!is_open()) return;
        const auto found = digest_on(store());
        const auto wrong = found ? log_.history.objection(calls(), found.value()) : said(found);
        if (!wrong.empty()) report("after a kill: " + wrong);
        auto state = state_now();
        if (!state) return report("after a kill: " + said(state));
        model_->restore(std::move(state).value());
        note(model_->promised("recovery", result<>{success()}));
    }

    /// Notes what was done on `store()` and `model()` directly.
    operation_outcome note(operation_outcome done) {
        const auto code = done.why.code;
        const bool full = code == errc::no_space || code == errc::reserve_only || code == errc::no_contiguous_space ||
                          code == errc::too_large || code == errc::pinned;
        auto told = done;
        if (full) told.why = {};
        must(std::move(told));
        return done;
    }
    /// The same for what has no excuse: a full volume can be synced, trimmed and closed.
    operation_outcome must(operation_outcome done) {
        log_.history.note(digest_of(model_->state()), calls(), done.durable, done.what);
        if (!done.succeeded()) report(done.text());
        return done;
    }
    void report(std::string sentence) { log_.findings.push_back(std::move(sentence)); }

    /// Compares and verifies once more, gives the store up and answers the recording.
    crash_recording finish() {
        if (is_open()) {
            if (auto wrong = difference(store(), model_->state()); !wrong.empty()) report(std::move(wrong));
            if (auto found = findings_of(store()); !found.empty()) report("verify: " + found);
            static_cast<void>(opened_->abandon());
            opened_.reset();
        }
        if (setup_.watch_order) {
            for (auto& one : checker_.violations()) report(std::move(one));
        }
        log_.calls = recording_.calls();
        return std::move(log_);
    }

  private:
    static memory_device make(const crash_setup<Store>& setup) {
        auto made = memory_device::create(setup.block, setup.blocks);
        ASHLAR_ASSERT(made.has_value());
        return std::move(made).value();
    }
    static result<> failure_of(error why) {
        if (why.code != errc::none) return why;
        return success();
    }

    void open() {
        opened_.reset();
        auto opened = setup_.open_on(top_);
        if (!opened) return report("open: " + said(opened));
        opened_.emplace(std::move(opened).value());
    }

    /// All that the open store holds.
    result<model_state> state_now() {
        model_state state;
        for (object_id at{};;) {
            BOOST_OUTCOME_TRY(const auto next, store().next_object(at));
            if (!next) return state;
            at = *next;
            BOOST_OUTCOME_TRY(const auto size, store().size(at));
            auto& kept = state[at.value];
            kept.resize(static_cast<std::size_t>(size));
            BOOST_OUTCOME_TRY(store().read(at, 0, std::span<std::byte>{kept}));
        }
    }

    const crash_setup<Store>     setup_;
    memory_device                memory_;
    order_checker<memory_device> checker_;
    any_device                   watched_;
    recording_device<any_device> recording_;
    any_device                   top_;
    std::optional<Store>         opened_;
    std::optional<store_model>   model_;
    crash_recording              log_;
};

}  // namespace ashlar::inline v0
