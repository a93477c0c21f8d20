#pragma once
/// What a store should hold: each operation is done on the store and, where it succeeds, on a map of bytes.

#include <ashlar/testing/store_contents.hpp>

#include <set>
#include <type_traits>
#include <utility>

namespace ashlar::inline v0 {

/// What became of an operation.
struct operation_outcome {
    bool        durable = false;  ///< Everything up to here was promised.
    error       why{};            ///< Of the operation; then the model stayed as it was.
    const char* what  = "";       ///< Its name.
    const char* wrong = nullptr;  ///< It succeeded and answered what cannot be, as a sentence.
    object_id   made{};           ///< By create.

    [[nodiscard]] bool        succeeded() const noexcept { return why.code == errc::none && wrong == nullptr; }
    [[nodiscard]] std::string text() const {
        if (wrong != nullptr) return std::string{what} + ": " + wrong;
        return std::string{what} + ": " + said(result<>{why});
    }
};

/// Carries changes of an open transaction out, and mirrors them in a state of their own. After a change that failed
/// the others do nothing.
template <class Transaction>
class modelled_transaction {
  public:
    modelled_transaction(Transaction& tx, model_state& after) noexcept : tx_{tx}, after_{after} {}

    [[nodiscard]] const model_state& state() const noexcept { return after_; }
    [[nodiscard]] error              why() const noexcept { return why_; }

    object_id create() {
        object_id id{};
        run([&] { return tx_.create(); }, [&](object_id made) { after_[(id = made).value]; });
        return id;
    }
    void erase(object_id id) {
        run([&] { return tx_.erase(id); }, [&](auto&&...) { after_.erase(id.value); });
    }
    void write(object_id id, std::uint64_t offset, std::span<const std::byte> bytes) {
        run([&] { return tx_.write(id, offset, bytes); },
            [&](auto&&...) { model_write(after_[id.value], offset, bytes); });
    }
    void append(object_id id, std::span<const std::byte> bytes) {
        run([&] { return tx_.append(id, bytes); }, [&](std::uint64_t at) { model_write(after_[id.value], at, bytes); });
    }
    void truncate(object_id id, std::uint64_t size) {
        run([&] { return tx_.truncate(id, size); },
            [&](auto&&...) { after_[id.value].resize(static_cast<std::size_t>(size)); });
    }
    void punch(object_id id, std::uint64_t offset, std::uint64_t length) {
        run([&] { return tx_.punch(id, offset, length); },
            [&](auto&&...) { model_punch(after_[id.value], offset, length); });
    }

  private:
    template <class Call, class Mirror>
    void run(Call&& call, Mirror&& mirror) {
        if (why_.code != errc::none) return;
        const auto done = call();
        if (!done) {
            why_ = done.error();
            return;
        }
        if constexpr (std::is_void_v<typename std::decay_t<decltype(done)>::value_type>) {
            mirror();
        } else {
            mirror(done.value());
        }
    }

    Transaction& tx_;
    model_state& after_;
    error        why_{};
};

/// What a store holds, kept in step with it. The store is handed in with each call, as it is closed and opened between.
/// An operation that fails leaves the state as it was; `attempted` says what it wanted, which a cut may show too.
class store_model {
  public:
    explicit store_model(object_id root) : root_{root} { restore({{root.value, {}}}); }

    [[nodiscard]] object_id          root() const noexcept { return root_; }
    [[nodiscard]] const model_state& state() const noexcept { return state_; }
    [[nodiscard]] const model_state& attempted() const noexcept { return attempted_; }

    /// Goes on from another state. Ids that a cut took back may come again.
    void restore(model_state found) {
        state_     = std::move(found);
        attempted_ = state_;
        ids_.clear();
        for (const auto& [id, bytes] : state_) ids_.insert(id);
    }

    template <class Store>
    operation_outcome write(Store& opened, object_id id, std::uint64_t offset, std::span<const std::byte> bytes) {
        return run(
            "write", [&] { return opened.write(id, offset, bytes); },
            [&](model_state& after) { model_write(after[id.value], offset, bytes); });
    }
    template <class Store>
    operation_outcome append(Store& opened, object_id id, std::span<const std::byte> bytes) {
        const auto    at       = state_[id.value].size();
        std::uint64_t answered = at;
        auto          done     = run(
                         "append",
                         [&]() -> result<> {
                BOOST_OUTCOME_TRY(answered, opened.append(id, bytes));
                return success();
            },
                         [&](model_state& after) { model_write(after[id.value], at, bytes); });
        if (answered != at) done.wrong = "it appended elsewhere than at the end";
        return done;
    }
    template <class Store>
    operation_outcome truncate(Store& opened, object_id id, std::uint64_t size) {
        return run(
            "truncate", [&] { return opened.truncate(id, size); },
            [&](model_state& after) { after[id.value].resize(static_cast<std::size_t>(size)); });
    }
    template <class Store>
    operation_outcome punch(Store& opened, object_id id, std::uint64_t offset, std::uint64_t length) {
        return run(
            "punch", [&] { return opened.punch(id, offset, length); },
            [&](model_state& after) { model_punch(after[id.value], offset, length); });
    }
    template <class Store>
    operation_outcome reserve(Store& opened, object_id id, std::uint64_t offset, std::uint64_t length) {
        return unchanged("reserve", opened.reserve(id, offset, length));
    }
    template <class Store>
    operation_outcome create(Store& opened) {
        attempted_      = state_;
        const auto made = opened.create();
        if (!made) return {false, made.error(), "create"};
        const bool is_new          = ids_.insert(made.value().value).second;
        state_[made.value().value] = {};
        attempted_                 = state_;
        return {false, {}, "create", is_new ? nullptr : "an id was used before", made.value()};
    }
    template <class Store>
    operation_outcome erase(Store& opened, object_id id) {
        return run(
            "erase", [&] { return opened.erase(id); }, [&](model_state& after) { after.erase(id.value); });
    }

    /// `changes(modelled_transaction&)` makes them; then they are committed, or dropped.
    template <class Store, class Changes>
    operation_outcome transaction(Store& opened, Changes&& changes, bool commits = true) {
        attempted_ = state_;
        auto begun = opened.begin();
        if (!begun) return {false, begun.error(), "begin"};
        auto                                                        tx    = std::move(begun).value();
        auto                                                        after = state_;
        modelled_transaction<std::remove_reference_t<decltype(tx)>> mirrored{tx, after};
        changes(mirrored);
        if (mirrored.why().code != errc::none) return {false, mirrored.why(), "transaction"};
        if (!commits) {
            tx.abort();
            return {false, {}, "abort"};
        }
        attempted_      = std::move(after);
        const auto done = tx.commit();
        if (!done) return {false, done.error(), "commit"};
        state_ = attempted_;
        for (const auto& [id, bytes] : state_) ids_.insert(id);
        return {true, {}, "commit"};
    }

    /// What changes no object and promises nothing: `answer` is what the store said.
    template <class T>
    operation_outcome unchanged(const char* what, const result<T>& answer) {
        attempted_ = state_;
        return {false, answer ? error{} : answer.error(), what};
    }
    /// What changes no object and, where it succeeded, promises everything before it: sync, checkpoint, close.
    template <class T>
    operation_outcome promised(const char* what, const result<T>& answer) {
        attempted_ = state_;
        return {answer.has_value(), answer ? error{} : answer.error(), what};
    }

  private:
    /// Carries an operation out on the store; `mirror` says what a success does to the model.
    template <class Call, class Mirror>
    operation_outcome run(const char* what, Call&& call, Mirror&& mirror) {
        attempted_ = state_;
        mirror(attempted_);
        const auto done = call();
        if (!done) return {false, done.error(), what};
        state_ = attempted_;
        return {false, {}, what};
    }

    object_id               root_{};
    model_state             state_;
    model_state             attempted_;
    std::set<std::uint64_t> ids_;
};

}  // namespace ashlar::inline v0
