#pragma once
/// Many threads use the store.

#include <ashlar/concepts/threading.hpp>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>

namespace ashlar::inline v0 {

/// The system's mutex and condition variable. The engine holds its mutex for short stretches and never over a device's
/// work, so a thread that finds it taken first looks again for a few hundred nanoseconds: going to sleep and being
/// woken costs more than what it waits for. Where looking again does not help, the thread soon stops trying it. On two
/// cores, with 2 to 32 threads, this gave 1 to 2 times the entries of std::mutex alone; without contention, the same.
struct multi_threaded {
    static constexpr bool concurrent = true;

    /// Lets another thread run first: the engine does so where commits gather, so that more of them share a sync. With
    /// 8 and 32 threads that put as fast as they can, a batch held 5.6 and 26 puts; without it 4.1 and 15.
    static void yield() noexcept { std::this_thread::yield(); }

    class mutex {
      public:
        void lock() {
            if (!inner_.try_lock() && !looked_again()) inner_.lock();
        }
        void unlock() noexcept { inner_.unlock(); }

      private:
        friend struct multi_threaded;

        /// The bound follows the number of looks that lately were enough, as glibc's adaptive mutexes do it
        /// (nptl/pthread_mutex_lock.c, PTHREAD_MUTEX_ADAPTIVE_NP). It is a hint: threads may write over each other's.
        bool looked_again() noexcept {
            const std::uint32_t usual = usual_looks_.load(std::memory_order_relaxed);
            const std::uint32_t bound = usual * 2 + 2 < looks_max ? usual * 2 + 2 : looks_max;
            std::uint32_t       looks = 0;
            bool                got   = false;
            while (!got && looks < bound) {
                for (std::uint32_t i = 0; i < pauses_between_looks; ++i) pause();
                got = inner_.try_lock();
                ++looks;
            }
            const std::uint32_t wanted = got ? looks : 0;
            usual_looks_.store((usual * 7 + wanted) / 8, std::memory_order_relaxed);
            return got;
        }

        static void pause() noexcept {
#if defined(__x86_64__) || defined(__i386__)
            __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
            asm volatile("yield");
#endif
        }

        static constexpr std::uint32_t looks_max            = 16;
        static constexpr std::uint32_t pauses_between_looks = 4;

        std::mutex                 inner_;
        std::atomic<std::uint32_t> usual_looks_{0};
    };

    class condition {
      public:
        /// The caller holds the mutex, and holds it again afterwards. May also return without a wake.
        void wait(mutex& held) {
            std::unique_lock<std::mutex> adopted{held.inner_, std::adopt_lock};
            woken_.wait(adopted);
            adopted.release();
        }
        void wake() noexcept { woken_.notify_all(); }

      private:
        std::condition_variable woken_;
    };

    /// One thread writes it at a time, any thread reads it at any time.
    class counter {
      public:
        void                        add(std::uint64_t n) noexcept { set(value() + n); }
        void                        set(std::uint64_t n) noexcept { value_.store(n, std::memory_order_relaxed); }
        [[nodiscard]] std::uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

      private:
        std::atomic<std::uint64_t> value_{0};
    };
};
static_assert(Threading<multi_threaded>);

}  // namespace ashlar::inline v0
