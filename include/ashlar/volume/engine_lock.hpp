#pragma once
/// The lock of one engine: held while its memory is read or changed, given up while a device works.

#include <ashlar/concepts/threading.hpp>

#include <cstdint>
#include <type_traits>

namespace ashlar::inline v0 {

/// What a lookup does where a block is not in memory, or another thread is just loading it.
enum class load_mode : std::uint8_t {
    in_place,       ///< Loads it under the lock, and waits for another thread's load.
    again_on_miss,  ///< Fails with `again`: the operation is undone, the block loaded without the lock, then repeated.
    again_on_loading,  ///< Loads it under the lock; fails with `again` only for another thread's load.
};

/// Mutex, two conditions, and how the operation that runs now wants its lookups.
///
/// Invariant: `mode` belongs to the thread that holds the lock; giving the lock up and taking it again keeps it, and
/// who enters meanwhile begins with `in_place`. With a threading that is not concurrent everything here is empty and
/// `wait` must not be reached.
template <Threading T>
class engine_lock {
  public:
    static constexpr bool concurrent = T::concurrent;

    void enter() noexcept {
        mutex_.lock();
        mode_ = load_mode::in_place;
    }
    void leave() noexcept {
        wake();
        mutex_.unlock();
    }

    /// Runs `work` without the lock: for transfers, and for arithmetic over memory that nobody else changes.
    template <class Work>
    auto outside(Work&& work) noexcept {
        if constexpr (!concurrent) {
            return work();
        } else {
            const load_mode mode = mode_;
            mutex_.unlock();
            auto done = work();
            mutex_.lock();
            mode_ = mode;
            return done;
        }
    }

    /// Waits until another operation ended, a block was loaded, or changes are welcome again.
    void wait() noexcept { wait_for(changed_, waiting_); }
    /// Waits until a batch ended.
    void wait_for_batch() noexcept { wait_for(batch_ended_, waiting_for_batch_); }

    void wake() noexcept {
        if constexpr (concurrent) {
            if (waiting_ != 0) changed_.wake();
        }
    }
    void wake_for_batch() noexcept {
        if constexpr (concurrent) {
            if (waiting_for_batch_ != 0) batch_ended_.wake();
            wake();
        }
    }

    /// Lets other threads run for a moment.
    void yield() noexcept {
        if constexpr (requires { T::yield(); }) {
            static_cast<void>(outside([]() noexcept {
                T::yield();
                return true;
            }));
        }
    }

    [[nodiscard]] load_mode mode() const noexcept { return mode_; }
    void                    set_mode(load_mode mode) noexcept { mode_ = mode; }

  private:
    void wait_for([[maybe_unused]] typename T::condition& condition, [[maybe_unused]] std::uint32_t& waiting) noexcept {
        if constexpr (concurrent) {
            const load_mode mode = mode_;
            ++waiting;
            condition.wait(mutex_);
            --waiting;
            mode_ = mode;
        }
    }

    [[no_unique_address]] typename T::mutex mutex_{};
    typename T::condition                   changed_{};
    typename T::condition                   batch_ended_{};
    std::uint32_t                           waiting_           = 0;
    std::uint32_t                           waiting_for_batch_ = 0;
    load_mode                               mode_              = load_mode::in_place;
};

/// Holds an engine's lock for a scope.
template <class Volume>
class [[nodiscard]] entered {
  public:
    explicit entered(Volume& volume) noexcept : volume_{volume} { volume_.lock.enter(); }
    /// `now` becomes the engine's time.
    entered(Volume& volume, std::uint64_t now) noexcept : entered{volume} { volume_.now = now; }
    ~entered() { volume_.lock.leave(); }
    entered(const entered&)            = delete;
    entered& operator=(const entered&) = delete;

  private:
    Volume& volume_;
};

}  // namespace ashlar::inline v0
