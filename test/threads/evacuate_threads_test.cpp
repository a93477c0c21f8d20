// Ranges that are emptied by one thread while others write, read, create and erase what lies in them.

#include "threads_fixture.hpp"

#include <ashlar/evacuation.hpp>
#include <ashlar/regions.hpp>
#include <ashlar/resize.hpp>

namespace ashlar::test {
namespace evacuate_threads_test {

constexpr std::uint32_t logs        = tag_of("LOGS");
constexpr std::size_t   block_bytes = 512;
constexpr std::uint64_t blocks_each = 48;

/// One object, which its writer knows block by block.
struct known_object {
    object_id                  id{};
    std::vector<std::uint64_t> values = std::vector<std::uint64_t>(blocks_each, 0);

    void write(threaded_store& on, random_bits& random, std::uint64_t value) {
        const auto  count = 1 + random.below(6);
        const auto  first = random.below(blocks_each - count + 1);
        byte_vector bytes;
        for (std::uint64_t i = 0; i < count; ++i) {
            const auto one = filled_block(block_bytes, value + i);
            bytes.insert(bytes.end(), one.begin(), one.end());
            values[first + i] = value + i;
        }
        ASHLAR_ASSERT_OK(insist([&]() { return on.write(id, first * block_bytes, bytes); }));
    }
    void expect(threaded_store& on) const {
        byte_vector seen(blocks_each * block_bytes);
        const auto  read = on.read(id, 0, std::span<std::byte>{seen});
        ASHLAR_ASSERT_OK(read);
        for (std::uint64_t i = 0; i * block_bytes < read.value(); ++i)
            ASSERT_EQ(value_of(std::span{seen}.subspan(i * block_bytes, block_bytes)), values[i]) << i;
    }
};

TEST(EvacuateThreads, NothingIsLostOfWhatThreadsWriteWhileItsRangeIsEmptied) {
    const volume_shape shape{.block_bytes = 512, .blocks = 5000, .journal_blocks = 256};
    memory_device      memory = make_memory(shape);
    locked_memory      device{memory};
    any_device         any{device};
    ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
    auto       store = open_threaded(device);
    const auto calls = scaled(250);
    // The object table gets parts in what is emptied.
    const auto filler = store.create().value();
    ASHLAR_ASSERT_OK(store.reserve(filler, 0, 1000 * block_bytes));
    for (int i = 0; i < 60; ++i) ASHLAR_ASSERT_OK(store.create());
    ASHLAR_ASSERT_OK(store.erase(filler));
    std::uint64_t tables  = 0;
    const auto    emptied = [&]() {
        constexpr std::size_t    writers = 3;
        std::atomic<std::size_t> writing{writers};
        std::atomic<int>         done{0};
        known_object             objects[writers];
        for (auto& one : objects) one.id = store.create().value();
        auto region = store_regions{store}.open(store_regions{store}.add({logs, block_count{64}}).value()).value();
        in_threads(writers + 2, [&](std::size_t thread) {
            random_bits random{thread + 1};
            if (thread < writers) {
                for (std::uint64_t i = 0; i < calls && !testing::Test::HasFailure(); ++i) {
                    mix_threads(random);
                    objects[thread].write(store, random, ((thread + 1) << 40U) + i * 8 + 1);
                    if (i % 16 == 0) ASHLAR_ASSERT_OK(insist([&]() { return store.sync(); }));
                    if (i % 20 == 0) objects[thread].expect(store);
                    if (i % 50 == 49) {
                        ASHLAR_ASSERT_OK(insist([&]() { return store.erase(objects[thread].id); }));
                        objects[thread].values.assign(blocks_each, 0);
                        objects[thread].id = insist([&]() { return store.create(); }).value();
                    }
                }
                --writing;
            } else if (thread == writers) {
                for (std::uint64_t i = 1; writing != 0 && !testing::Test::HasFailure(); ++i) {
                    const auto  bytes = filled_block(block_bytes, i);
                    byte_vector seen(block_bytes);
                    ASHLAR_ASSERT_OK(region.write({{i % 64}, {1}}, bytes));
                    ASHLAR_ASSERT_OK(region.read({{i % 64}, {1}}, seen));
                    ASSERT_EQ(seen, bytes);
                    std::this_thread::yield();
                }
            } else {
                auto task =
                    evacuation<threaded_blueprint>::open(store, {.moves = {.window = {24}, .pieces_max = 6}}).value();
                for (int i = 0; (writing != 0 || done == 0) && !testing::Test::HasFailure(); ++i) {
                    const extent half{{i % 2 == 0 ? 800U : 2800U}, {2000}};
                    ASHLAR_ASSERT_OK(task.start(half));
                    while (task.running()) {
                        task.step({.blocks_max = 16, .candidates_max = 8});
                        std::this_thread::yield();
                    }
                    done += task.last_result().emptied ? 1 : 0;
                    tables += task.last_result().tables;
                    ASSERT_EQ(task.last_result().failure.code, errc::none)
                        << said(result<>{task.last_result().failure});
                }
            }
        });
        for (const auto& one : objects) one.expect(store);
        return done.load();
    }();
    EXPECT_GT(emptied, 0);
    EXPECT_GT(tables, 0U);
    EXPECT_TRUE(store.volume().space.withheld().empty());
    EXPECT_EQ(findings_of(store), "");
    ASHLAR_ASSERT_OK(store.close());
    store = open_threaded(device);
    EXPECT_EQ(findings_of(store), "");
}

TEST(EvacuateThreads, ARangeIsPlannedAndEmptiedWhileTheSizeChanges) {
    const volume_shape shape{.block_bytes = 512, .blocks = 3000, .journal_blocks = 256};
    memory_device      memory = make_memory(shape);
    locked_memory      device{memory};
    any_device         any{device};
    ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
    auto store = open_threaded(device);
    ASHLAR_ASSERT_OK(store_regions{store}.add({.type = logs, .blocks = block_count{64}, .from = block_index{900}}));
    std::atomic<bool> resizing{true};
    in_threads(2, [&](std::size_t thread) {
        if (thread == 0) {
            for (std::uint64_t i = 0; i < 2 * scaled(60) && !testing::Test::HasFailure(); ++i) {
                ASHLAR_ASSERT_OK(insist([&]() -> result<> {
                    if (i % 2 == 0) return store_size{store}.cut(block_count{2800});
                    BOOST_OUTCOME_TRY(store_size{store}.grow(block_count{3000}));
                    return success();
                }));
                std::this_thread::yield();
            }
            resizing = false;
            return;
        }
        auto task = evacuation<threaded_blueprint>::open(store).value();
        while (resizing && !testing::Test::HasFailure()) {
            const extent end{{2900}, {100}};
            const auto   seen = task.plan(end);
            EXPECT_TRUE(seen || seen.error().code == errc::out_of_range) << said(seen);
            const auto begun = task.start(end);
            EXPECT_TRUE(begun || begun.error().code == errc::out_of_range) << said(begun);
            while (task.running()) task.step();
            const auto place = store_regions{store}.find({logs, 0}).value().place;
            ASHLAR_ASSERT_OK(task.plan(place));
            ASHLAR_ASSERT_OK(task.start(place));
            while (task.running()) task.step();
            for (int i = 0; i < 20; ++i) std::this_thread::yield();
        }
    });
    EXPECT_EQ(store.info().blocks, block_count{3000});
    EXPECT_TRUE(store.volume().space.withheld().empty());
    EXPECT_EQ(findings_of(store), "");
}

}  // namespace evacuate_threads_test
}  // namespace ashlar::test
