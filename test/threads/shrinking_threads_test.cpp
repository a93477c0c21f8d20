// A thread that makes a volume larger while another one gives the end of its device back.

#include "../region/region_fixture.hpp"
#include "counted_threads.hpp"

#include <ashlar/shrinking.hpp>

#include <atomic>
#include <functional>
#include <thread>

namespace ashlar::test {
namespace shrinking_threads_test {

constexpr volume_shape shape{.block_bytes = 512, .blocks = 6000, .journal_blocks = 160};

/// Memory whose end can go; something happens while it does.
struct ending_device {
    memory_device*              memory    = nullptr;
    std::atomic<std::uint64_t>* blocks    = nullptr;
    std::function<void()>*      meanwhile = nullptr;

    [[nodiscard]] device_geometry geometry() const noexcept {
        auto now   = memory->geometry();
        now.blocks = {*blocks};
        return now;
    }
    result<> read(extent e, std::span<std::byte> in) noexcept { return memory->read(e, in); }
    result<> write(extent e, std::span<const std::byte> out) noexcept { return memory->write(e, out); }
    result<> sync() noexcept { return memory->sync(); }
    result<> trim(extent e) noexcept { return memory->trim(e); }
    result<> refresh() noexcept { return success(); }
    result<> resize(block_count now) noexcept {
        if (*meanwhile) (*meanwhile)();
        *blocks = now.value;
        return success();
    }
};

struct ending_blueprint : test_blueprint<> {
    using device    = ending_device;
    using threading = counted_threads;
};
using ending_store = store<ending_blueprint>;

TEST(ShrinkingThreads, WhoGrowsWhileTheDeviceBecomesShorterWaitsAndIsRefused) {
    auto                       memory = make_memory(shape);
    std::atomic<std::uint64_t> blocks{shape.blocks};
    std::function<void()>      meanwhile;
    const ending_device        device{&memory, &blocks, &meanwhile};
    format_on(memory, shape);
    auto live = ending_store::open(ending_device{device}, with<ending_store>()).value();
    ASHLAR_ASSERT_OK(store_size{live}.cut(block_count{4000}));

    std::thread       other;
    std::atomic<bool> ended{false};
    errc              grown = errc::none;
    meanwhile               = [&] {
        const int before = counted_threads::waits;
        other            = std::thread{[&] {
            grown = code_of(store_size{live}.grow(block_count{5000}));
            ended = true;
        }};
        while (counted_threads::waits == before && !ended) std::this_thread::yield();
    };
    auto work = shrinking<ending_blueprint>::open(live).value();
    ASHLAR_ASSERT_OK(work.start(block_count{4000}));
    const auto said = work.step();
    ASSERT_TRUE(other.joinable());
    other.join();
    EXPECT_EQ(said.failure.code, errc::none);
    EXPECT_EQ(work.last_result().given_back, block_count{2000});
    EXPECT_EQ(grown, errc::out_of_range) << "it waited for the device";
    EXPECT_EQ(live.info().blocks, block_count{4000});
    ASHLAR_ASSERT_OK(live.close());
    auto again = ending_store::open(ending_device{device}, with<ending_store>());
    ASHLAR_ASSERT_OK(again);
    expect_whole(again.value());
}

}  // namespace shrinking_threads_test
}  // namespace ashlar::test
