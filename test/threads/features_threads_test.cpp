// Features that come and go while another thread is just adding or removing one: at the moments at which that gives
// the engine's lock up.

#include "../records/records_fixture.hpp"
#include "counted_threads.hpp"

#include <ashlar/features.hpp>
#include <ashlar/regions.hpp>

#include <atomic>
#include <functional>
#include <thread>

namespace ashlar::test {
namespace features_threads_test {

constexpr std::uint32_t tags = tag_of("TAGS");

const volume_shape shape{.block_bytes = 512, .blocks = 9000, .journal_blocks = 96};

/// What happens meanwhile, once.
using intrusion = std::function<void()>;

void intrude(intrusion& what) {
    if (what) std::exchange(what, nullptr)();
}

/// A device whose reader is interrupted at one block.
struct interrupted_device {
    memory_device* memory = nullptr;
    block_index*   at     = nullptr;
    intrusion*     what   = nullptr;

    [[nodiscard]] device_geometry geometry() const noexcept { return memory->geometry(); }
    result<>                      read(extent e, std::span<std::byte> in) noexcept {
                             if (e.contains(*at)) intrude(*what);
        return memory->read(e, in);
    }
    result<> write(extent e, std::span<const std::byte> out) noexcept { return memory->write(e, out); }
    result<> sync() noexcept { return memory->sync(); }
    result<> trim(extent e) noexcept { return memory->trim(e); }
};

struct interrupted_threads : counted_threads {
    static inline intrusion at_yield;

    static void yield() noexcept { intrude(at_yield); }
};

struct interrupted_blueprint : test_blueprint<> {
    using device    = interrupted_device;
    using threading = interrupted_threads;
};
using interrupted_store = store<interrupted_blueprint>;

struct FeaturesBetweenThreads : testing::Test {
    FeaturesBetweenThreads() {
        format_on(memory, shape);
        live = open();
        ids  = fill(live, 40, 0);
        record_migration task{live};
        task.start({.record_bytes = 144});
        EXPECT_TRUE(run_to_end(task).reasons.has(stop_reason::finished));
        EXPECT_TRUE(live.close());
        live = open();
    }
    interrupted_store open() {
        auto made = interrupted_store::open(interrupted_device{&memory, &at, &what}, with<interrupted_store>());
        EXPECT_TRUE(made) << said(made);
        return made ? std::move(made).value() : interrupted_store{};
    }
    /// Two threads add a feature each: the second begins once the first reads a bitmap, plans as if there were no
    /// other, and waits for it.
    void add_two(const feature_request& first, const feature_request& second) {
        std::thread other;
        at   = live.volume().regions.bitmap(0).home;
        what = [&] {
            const int before = interrupted_threads::waits;
            other            = std::thread{[&] { later = store_features{live}.add(second); }};
            while (interrupted_threads::waits == before) std::this_thread::yield();
        };
        const auto added = store_features{live}.add(first);
        ASSERT_TRUE(other.joinable()) << "it read no bitmap";
        other.join();
        ASHLAR_EXPECT_OK(added);
    }
    void expect_opens() {
        EXPECT_TRUE(live.close());
        live = open();
        expect_whole(live);
    }

    memory_device          memory = make_memory(shape);
    block_index            at{};
    intrusion              what;
    interrupted_store      live;
    std::vector<object_id> ids;
    result<feature_plan>   later = feature_plan{};  ///< What the second thread was told.
};

TEST_F(FeaturesBetweenThreads, TwoThatWantRegionsOfOneTypeGetThemOnce) {
    add_two({.bit = 1, .region = tags, .blocks = block_count{9}}, {.bit = 2, .region = tags, .blocks = block_count{5}});
    EXPECT_EQ(code_of(later), errc::busy);
    expect_opens();
    EXPECT_TRUE(store_features{live}.has(1));
    EXPECT_FALSE(store_features{live}.has(2));
    EXPECT_EQ(store_regions{live}.find({tags, 0}).value().place.count, block_count{9});
}

TEST_F(FeaturesBetweenThreads, TwoThatWantTheLastBytesOfRecordsGetThemOnce) {
    add_two({.bit = 1, .record_bytes = 8, .region = tags, .blocks = block_count{9}}, {.bit = 2, .record_bytes = 8});
    ASHLAR_ASSERT_OK(later);
    EXPECT_EQ(later.value().way, feature_way::record_migration) << "it is planned anew";
    EXPECT_EQ(later.value().width, 152U);
    expect_opens();
    EXPECT_TRUE(store_features{live}.has(1));
    EXPECT_FALSE(store_features{live}.has(2));
    byte_vector some(8);
    ASHLAR_EXPECT_OK(store_features{live}.read(ids[0], 1, some));
}

TEST_F(FeaturesBetweenThreads, BetweenTheBlocksOfARemovalOthersHaveTheirTurn) {
    store_features features{live};
    ASHLAR_ASSERT_OK(features.add({.bit = 1, .record_bytes = 8}));
    for (const auto id : ids) ASHLAR_ASSERT_OK(features.write(id, 1, bytes_of(8, id.value)));
    bool had_a_turn               = false;
    interrupted_threads::at_yield = [&] {
        had_a_turn = true;
        ASHLAR_EXPECT_OK(features.remove(1));  // another one is faster
        ASHLAR_EXPECT_OK(features.add({.bit = 1, .record_bytes = 8}));
        for (const auto id : ids) ASHLAR_EXPECT_OK(features.write(id, 1, bytes_of(8, id.value + 1)));
    };
    EXPECT_EQ(code_of(features.remove(1)), errc::raced);
    interrupted_threads::at_yield = nullptr;
    EXPECT_TRUE(had_a_turn);
    EXPECT_TRUE(features.has(1));
    byte_vector some(8);
    for (const auto id : ids) {
        ASHLAR_EXPECT_OK(features.read(id, 1, some));
        EXPECT_EQ(some, bytes_of(8, id.value + 1)) << "bytes of the new one";
    }
    expect_opens();
}

}  // namespace features_threads_test
}  // namespace ashlar::test
