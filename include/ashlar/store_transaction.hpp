#pragma once
/// Several changes that become visible and durable together.

#include <ashlar/object/object_operation.hpp>

#include <utility>

namespace ashlar::inline v0 {

/// An open transaction: move only; dropped, nothing of it happened. It locks the objects that it changes, and a second
/// writer of one gets `busy`. Nobody else sees its changes before `commit`. After an error of a change only dropping it
/// is left. Precondition: it does not outlive its store.
template <class Volume>
class [[nodiscard]] store_transaction {
  public:
    store_transaction(store_transaction&& other) noexcept
        : volume_{std::exchange(other.volume_, nullptr)}, tx_{other.tx_}, broken_{other.broken_} {}
    store_transaction& operator=(store_transaction&& other) noexcept {
        if (this != &other) {
            abort();
            volume_ = std::exchange(other.volume_, nullptr);
            tx_     = other.tx_;
            broken_ = other.broken_;
        }
        return *this;
    }
    store_transaction(const store_transaction&)            = delete;
    store_transaction& operator=(const store_transaction&) = delete;
    ~store_transaction() { abort(); }

    [[nodiscard]] static result<store_transaction> begin(Volume& volume) noexcept {
        BOOST_OUTCOME_TRY(admit(volume, usual_grant(volume)));
        BOOST_OUTCOME_TRY(const auto tx, begin_transaction(volume, true));
        return store_transaction{volume, tx};
    }

    result<object_id> create() noexcept {
        BOOST_OUTCOME_TRY(usable());
        const guard_type guard{*volume_};
        if (auto room = prepare_records(); room.has_error()) return fail(room.error());
        if (auto locked = lock([&]() noexcept { return lock_table(*volume_, tx_); }); locked.has_error())
            return fail(locked.error());
        auto made = create_object(*volume_, tx_);
        if (made.has_error()) return fail(made.error());
        return made.value().id;
    }

    result<> erase(object_id id) noexcept {
        BOOST_OUTCOME_TRY(usable());
        if (id == volume_->root) return errc::invalid_argument;
        return change(
            id, [&](object_state& object) noexcept { return erase_object(*volume_, tx_, object); }, true);
    }
    result<> write(object_id id, std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
        return change(id, [&](object_state& object) noexcept {
            return write_object(*volume_, tx_, object, offset, bytes, space_use::data);
        });
    }
    result<std::uint64_t> append(object_id id, std::span<const std::byte> bytes) noexcept {
        std::uint64_t at = 0;
        BOOST_OUTCOME_TRY(change(id, [&](object_state& object) noexcept {
            at = object.size;
            return write_object(*volume_, tx_, object, at, bytes, space_use::data);
        }));
        return at;
    }
    result<> truncate(object_id id, std::uint64_t size) noexcept {
        return change(id, [&](object_state& object) noexcept { return truncate_object(*volume_, tx_, object, size); });
    }
    result<> punch(object_id id, std::uint64_t offset, std::uint64_t length) noexcept {
        return change(
            id, [&](object_state& object) noexcept { return punch_object(*volume_, tx_, object, offset, length); });
    }
    result<> set_attributes(object_id id, std::span<const std::byte, attribute_bytes> attributes) noexcept {
        return change(id, [&](object_state& object) noexcept -> result<> {
            std::memcpy(object.attributes.data(), attributes.data(), attribute_bytes);
            return success();
        });
    }

    /// All changes become visible and durable. Errors: too_large when even an empty journal does not hold them; then it
    /// is dropped and nothing happened. An error of the device: opening the store again decides whether it happened.
    result<> commit() noexcept {
        BOOST_OUTCOME_TRY(usable());
        const guard_type guard{*volume_};
        auto             joined = join_if_it_fits(*volume_, tx_);
        if (joined.has_error() && may_be_relieved(*volume_, joined.error().code)) {
            if (auto room = ashlar::checkpoint(*volume_); room.has_error()) return fail(room.error());
            joined = join_if_it_fits(*volume_, tx_);
        }
        if (joined.has_error())
            return fail(joined.error().code == errc::journal_full ? error{errc::too_large} : joined.error());
        volume_->lock.wake();
        return flush(*std::exchange(volume_, nullptr));
    }

    /// Drops it: nothing of it happened.
    void abort() noexcept {
        if (volume_ == nullptr) return;
        const guard_type guard{*volume_};
        drop();
    }

  private:
    using guard_type = entered<Volume>;

    store_transaction(Volume& volume, std::uint32_t tx) noexcept : volume_{&volume}, tx_{tx} {}

    /// Errors: invalid_argument after commit, abort or an error.
    [[nodiscard]] result<> usable() const noexcept {
        if (volume_ == nullptr || broken_) return errc::invalid_argument;
        return success();
    }

    error fail(error why) noexcept {
        drop();
        broken_ = true;
        return why;
    }

    template <class Change>
    result<> change(object_id id, Change&& change, bool locks_table = false) noexcept {
        BOOST_OUTCOME_TRY(usable());
        const guard_type guard{*volume_};
        if (locks_table) {
            if (auto room = prepare_records(); room.has_error()) return fail(room.error());
        }
        BOOST_OUTCOME_TRY(prepare(id));
        auto locked = lock([&]() noexcept { return lock_object(*volume_, tx_, id); });
        if (locked.has_value() && locks_table) locked = lock([&]() noexcept { return lock_table(*volume_, tx_); });
        if (locked.has_error()) return fail(locked.error());
        auto done =
            change_in(*volume_, tx_, id, [&](std::uint32_t, object_state& object) noexcept { return change(object); });
        if (done.has_error()) return fail(done.error());
        return success();
    }

    /// Takes a lock; waits for an operation of another thread that has it, not for another open transaction.
    template <class Take>
    result<> lock(Take&& take) noexcept {
        for (;;) {
            auto taken = take();
            if (!taken.has_error() || taken.error().code != errc::busy || !others_will_end(*volume_)) return taken;
            volume_->lock.wait();
        }
    }

    /// What an earlier truncate left to do is done before the transaction locks the object.
    result<> prepare(object_id id) noexcept {
        for (const auto locked : volume_->transactions[tx_].locked.all()) {
            if (locked == id) return success();
        }
        auto ready = finish_shrinking(*volume_, id);
        if (ready.has_error()) return fail(ready.error());
        return success();
    }

    /// Before the transaction locks the table: afterwards the table cannot grow any more.
    result<> prepare_records() noexcept {
        if (volume_->transactions[tx_].locks_table) return success();
        return make_records(*volume_, volume_->limits.transaction.objects);
    }

    void drop() noexcept {
        if (volume_ != nullptr) abandon(*volume_, volume_->transactions[tx_]);
        volume_ = nullptr;
    }

    Volume*       volume_ = nullptr;
    std::uint32_t tx_     = 0;
    bool          broken_ = false;
};

}  // namespace ashlar::inline v0
