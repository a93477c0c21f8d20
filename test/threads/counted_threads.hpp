#pragma once
/// Threads that say how often one of them waited for another.

#include <ashlar/hosted/multi_threaded.hpp>

#include <atomic>

namespace ashlar::test {

struct counted_threads : multi_threaded {
    static inline std::atomic<int> waits{0};

    struct condition : multi_threaded::condition {
        void wait(mutex& held) {
            ++waits;
            multi_threaded::condition::wait(held);
        }
    };
};

}  // namespace ashlar::test
