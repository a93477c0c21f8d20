#pragma once
/// Channels for coroutines of C++20: a request is awaited instead of asked for.
///
/// Empty where the compiler cannot compile the standard library's coroutines, as clang 14 with libstdc++;
/// ASHLAR_HAS_COROUTINES says whether it is there.

#include <ashlar/channel.hpp>

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
#define ASHLAR_HAS_COROUTINES 1
#else
#define ASHLAR_HAS_COROUTINES 0
#endif

#if ASHLAR_HAS_COROUTINES

#include <array>
#include <coroutine>
#include <exception>

namespace ashlar::inline v0 {

/// What a coroutine returns that works on requests. It begins at its call and runs until its first request; its frame
/// goes when it ends. Nobody waits for it but `requests::run`, so it reports through its arguments, and those live
/// until then. An exception that leaves it ends the program. Where its frame is allocated is the compiler's choice:
/// once for a coroutine, never for a request.
struct detached {
    struct promise_type {
        [[nodiscard]] detached           get_return_object() const noexcept { return {}; }
        [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
        [[nodiscard]] std::suspend_never final_suspend() const noexcept { return {}; }
        void                             return_void() const noexcept {}
        [[noreturn]] void                unhandled_exception() const noexcept { std::terminate(); }
    };
};

/// The requests of coroutines over one channel, as many at a time as it is deep; the others wait for their turn. The
/// awaiting expression answers `result<std::size_t>`: the bytes, or the request's failure.
/// Precondition: stays where it is and outlives its coroutines; nothing else uses the channel meanwhile.
/// Safe from: one thread at a time; all coroutines run in the thread that calls `run`.
template <Blueprint B>
class requests {
  public:
    explicit requests(channel<B>& over) noexcept : channel_{over} {}
    requests(const requests&)            = delete;
    requests& operator=(const requests&) = delete;

    /// A request that is submitted when it is awaited. It lies in the frame of its coroutine.
    class [[nodiscard]] awaitable {
      public:
        awaitable(const awaitable&)            = delete;
        awaitable& operator=(const awaitable&) = delete;

        [[nodiscard]] bool await_ready() const noexcept { return false; }
        void               await_suspend(std::coroutine_handle<> waiting) noexcept {
                          waiting_     = waiting;
                          asked_.token = reinterpret_cast<std::uintptr_t>(this);
                          of_.take(*this);
        }
        [[nodiscard]] result<std::size_t> await_resume() const noexcept {
            if (asked_.failure.code != errc::none) return asked_.failure;
            return asked_.moved;
        }

      private:
        friend requests;
        awaitable(requests& of, const request& asked) noexcept : of_{of}, asked_{asked} {}

        requests&               of_;
        request                 asked_;
        std::coroutine_handle<> waiting_{};
        awaitable*              next_ = nullptr;
    };

    awaitable read(object_id object, std::uint64_t offset, std::span<std::byte> into) noexcept {
        return {*this, {.verb = request_verb::read, .object = object, .offset = offset, .memory = into}};
    }
    awaitable write(object_id object, std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
        return {*this, changing(request_verb::write, object, offset, bytes)};
    }
    awaitable put(object_id object, std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
        return {*this, changing(request_verb::put, object, offset, bytes)};
    }
    awaitable sync() noexcept { return {*this, {.verb = request_verb::sync}}; }

    /// Completes requests and resumes who awaits them, until nobody awaits any. Errors: the channel's; then coroutines
    /// stay where they are, and so do their frames.
    result<> run() noexcept {
        std::array<request*, 64> finished;  // as many at once as share a batch
        while (channel_.in_flight() != 0) {
            BOOST_OUTCOME_TRY(const auto count, channel_.complete(finished, 1));
            for (std::size_t i = 0; i < count; ++i) {
                submit_waiting();
                reinterpret_cast<awaitable*>(static_cast<std::uintptr_t>(finished[i]->token))->waiting_.resume();
            }
        }
        return success();
    }

  private:
    static request changing(request_verb verb, object_id object, std::uint64_t offset,
                            std::span<const std::byte> bytes) noexcept {
        return {.verb   = verb,
                .object = object,
                .offset = offset,
                .memory = {const_cast<std::byte*>(bytes.data()), bytes.size()}};  // a write only reads it
    }

    void take(awaitable& one) noexcept {
        if (first_ == nullptr && channel_.in_flight() < channel_.depth()) return channel_.submit(one.asked_);
        (first_ == nullptr ? first_ : last_->next_) = &one;
        last_                                       = &one;
    }
    void submit_waiting() noexcept {
        while (first_ != nullptr && channel_.in_flight() < channel_.depth()) {
            awaitable& one = *first_;
            first_         = one.next_;
            channel_.submit(one.asked_);
        }
    }

    channel<B>& channel_;
    awaitable*  first_ = nullptr;  // of those that found no place
    awaitable*  last_  = nullptr;
};

}  // namespace ashlar::inline v0

#endif
