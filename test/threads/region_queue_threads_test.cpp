// Queues of regions in threads, while another thread moves the regions.

#include "../region/region_queue_load.hpp"

#include <thread>

namespace ashlar::test {
namespace region_queue_threads_test {

struct real_pause {
    void operator()() const { std::this_thread::yield(); }
};

TEST(RegionQueueThreads, EveryOwnerFindsWhatItWroteWhileRegionsMove) {
    bench_store<ordered_multi> bench{{.block_bytes = 512, .blocks = 3000, .journal_blocks = 256}};
    bench.orders.reap = 2;
    region_queue_load<ordered_multi, real_pause> load{bench.live, scaled(20000)};
    std::thread threads[] = {std::thread{[&] { load.own(0, 11); }}, std::thread{[&] { load.own(1, 12); }},
                             std::thread{[&] { load.compact(13); }}, std::thread{[&] { load.churn(14); }}};
    for (auto& one : threads) one.join();
    std::printf("  %llu regions moved, %llu of them in parts\n", static_cast<unsigned long long>(load.moved()),
                static_cast<unsigned long long>(load.slid()));
    ASSERT_EQ(load.wrong(), nullptr) << load.wrong();
    EXPECT_GT(load.moved(), 0U);
    load.expect_contents();
    EXPECT_EQ(findings_of(bench.live), "");
}

}  // namespace region_queue_threads_test
}  // namespace ashlar::test
