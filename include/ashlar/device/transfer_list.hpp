#pragma once
/// Transfers that wait in a queue.

#include <ashlar/concepts/transfer_queue.hpp>

#include <utility>

namespace ashlar::inline v0 {

/// First in, first out, linked through the transfers' own `next`; so it needs no memory. A transfer is in one list at
/// most.
class transfer_list {
  public:
    transfer_list() noexcept                       = default;
    transfer_list(const transfer_list&)            = delete;
    transfer_list& operator=(const transfer_list&) = delete;
    transfer_list(transfer_list&& other) noexcept
        : first_{std::exchange(other.first_, nullptr)}, last_{std::exchange(other.last_, nullptr)} {}
    transfer_list& operator=(transfer_list&& other) noexcept {
        first_ = std::exchange(other.first_, nullptr);
        last_  = std::exchange(other.last_, nullptr);
        return *this;
    }
    ~transfer_list() = default;

    [[nodiscard]] bool      empty() const noexcept { return first_ == nullptr; }
    [[nodiscard]] transfer& first() const noexcept { return *first_; }

    void push(transfer& t) noexcept {
        t.next                                    = nullptr;
        (last_ == nullptr ? first_ : last_->next) = &t;
        last_                                     = &t;
    }

    /// Precondition: not empty.
    transfer& pop() noexcept {
        transfer& t = *first_;
        first_      = t.next;
        if (first_ == nullptr) last_ = nullptr;
        t.next = nullptr;
        return t;
    }

  private:
    transfer* first_ = nullptr;
    transfer* last_  = nullptr;
};

}  // namespace ashlar::inline v0
