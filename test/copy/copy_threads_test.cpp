// A copy of a store that threads write meanwhile: what comes out is one moment of it.

#include "../threads/threads_fixture.hpp"
#include "copy_fixture.hpp"

#include <ashlar/testing/faulty_device.hpp>

#include <atomic>
#include <chrono>
#include <thread>

namespace ashlar::test {
namespace copy_threads_test {

using task = volume_copy<threaded_blueprint, test_blueprint<>>;

constexpr std::size_t  objects_of_a_set = 4;
constexpr std::uint8_t sets             = 2;

constexpr volume_shape shape{.blocks = 4000, .record_bytes = 160, .inline_extents = 2};

struct CopyThreadsTest : testing::Test {
    CopyThreadsTest() : memory{make_memory(shape)}, device{memory}, other{make_memory(shape)} {
        format_on(memory, shape);
        format_on(other, shape, 2);
        source = open_threaded(device);
        target = opened_on(other);
        for (auto& set : ids) {
            for (auto& id : set) {
                id = source.create().value();
                ASHLAR_EXPECT_OK(source.append(id, byte_vector(6000)));
            }
        }
        ASHLAR_EXPECT_OK(store_features{source}.add({.bit = 5, .record_bytes = 8}));
        kept[0] = source.create().value();
        for (int i = 0; i < 30; ++i) ASHLAR_EXPECT_OK(source.append(source.create().value(), pattern(5, 512, 9)));
        kept[1] = source.create().value();
        region  = store_regions{source}.add({.type = logs, .blocks = block_count{100}}).value();
        ASHLAR_EXPECT_OK(store_regions{source}.open(region).value().write({block_index{0}, block_count{100}},
                                                                          byte_vector(100 * 512)));
    }
    ~CopyThreadsTest() override {
        static_cast<void>(target.abandon());
        static_cast<void>(source.abandon());
    }

    /// One transaction gives every object of the set the same bytes.
    void write_set(std::size_t set) {
        for (std::uint32_t version = 1; !over; ++version) {
            const byte_vector bytes(700, static_cast<std::byte>(version & 0xFFU));
            auto              changes = source.begin();
            if (!changes) continue;  // all transactions are open
            bool done = true;
            for (const auto id : ids[set]) done = done && changes.value().write(id, 512 * (version % 8), bytes);
            if (done && changes.value().commit()) ++commits;
        }
    }
    /// Always the two blocks together, the second behind the first.
    void write_region() {
        auto opened = store_regions{source}.open(region);
        while (!over && opened) {
            const byte_vector bytes(512, static_cast<std::byte>(++region_version & 0xFFU));
            ASHLAR_EXPECT_OK(opened.value().write({block_index{3}, block_count{1}}, bytes));
            ASHLAR_EXPECT_OK(opened.value().write({block_index{90}, block_count{1}}, bytes));
            ++writes;
        }
    }
    /// Always the two objects' bytes, the second's behind the first's; and features that come and go beside them.
    void write_features() {
        store_features features{source};
        random_bits    random{9};
        while (!over) {
            const byte_vector bytes(8, static_cast<std::byte>(++feature_version & 0xFFU));
            while (!features.write(kept[0], 5, bytes) && !over) {}  // others have the block of the record
            while (!features.write(kept[1], 5, bytes) && !over) {}
            ++feature_writes;
            if (random.below(40) == 0) static_cast<void>(features.add({.bit = 6, .record_bytes = 8}));
            if (random.below(40) == 0) static_cast<void>(features.remove(6));
        }
    }
    void create_and_erase() {
        random_bits random{3};
        while (!over) {
            const auto made = source.create();
            if (!made) continue;
            static_cast<void>(source.append(made.value(), ashlar::pattern(900, random.next())));
            static_cast<void>(source.erase(made.value()));
            static_cast<void>(source.maintain({.blocks_max = 8}));
        }
    }

    memory_device                                             memory;
    faulty_device<memory_device>                              device;  ///< Its calls exclude each other.
    memory_device                                             other;
    threaded_store                                            source;
    test_store                                                target;
    std::array<std::array<object_id, objects_of_a_set>, sets> ids{};
    region_id                                                 region{};
    std::uint32_t                                             region_version = 0;  ///< Goes on from round to round.
    std::array<object_id, 2>                                  kept{};  ///< Far from each other in the table.
    std::uint32_t                                             feature_version = 0;
    std::atomic<bool>                                         over{false};
    std::atomic<std::uint64_t>                                commits{0}, writes{0}, feature_writes{0};
};

TEST_F(CopyThreadsTest, EveryTransactionIsInItWholeOrNotAtAll) {
    for (std::uint64_t round = 0; round < scaled(3); ++round) {
        over = false;
        std::thread copier{[&] {
            auto copying = task::open(source, target, {.chunk = block_count{4}, .in_use = true, .passes_max = 4});
            ASHLAR_EXPECT_OK(copying);
            while (copying && !HasFailure()) {
                const auto said = copying.value().step({.blocks_max = 32, .candidates_max = 16});
                EXPECT_FALSE(said.reasons.has(stop_reason::device_error)) << message(said.failure.code);
                if (said.reasons.has(stop_reason::nothing_to_gain)) break;
            }
            ASHLAR_EXPECT_OK(copying.value().finish());
            const auto after = commits.load();  // writers go on
            const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{30};
            while (commits.load() < after + 3 && std::chrono::steady_clock::now() < until)
                std::this_thread::sleep_for(std::chrono::milliseconds{1});
            EXPECT_GE(commits.load(), after + 3);
            over = true;
        }};
        in_threads(sets + 3, [&](std::size_t number) {
            if (number < sets) write_set(number);
            if (number == sets) write_region();
            if (number == sets + 1) create_and_erase();
            if (number == sets + 2) write_features();
        });
        copier.join();
        EXPECT_EQ(findings_of(target), "");
        for (const auto& set : ids) {
            byte_vector first(6000), next(6000);
            EXPECT_EQ(target.read(set[0], 0, first).value(), first.size());
            for (const auto id : set) {
                EXPECT_EQ(target.read(id, 0, next).value(), next.size());
                EXPECT_EQ(next, first);
            }
        }
        auto              copied = store_regions{target}.open(region).value();
        const byte_vector all    = read_all(copied);
        const auto        lead   = static_cast<std::uint8_t>(static_cast<std::uint8_t>(all[3 * 512]) -
                                                    static_cast<std::uint8_t>(all[90 * 512]));
        EXPECT_LE(lead, 1) << "the second block is never ahead, and never two behind";
        byte_vector first(8), next(8);
        EXPECT_EQ(store_features{target}.read(kept[0], 5, first).value(), 8U);
        EXPECT_EQ(store_features{target}.read(kept[1], 5, next).value(), 8U);
        const auto ahead =
            static_cast<std::uint8_t>(static_cast<std::uint8_t>(first[0]) - static_cast<std::uint8_t>(next[0]));
        EXPECT_LE(ahead, 1) << "both are of one moment";
        EXPECT_EQ(std::count(first.begin(), first.end(), first[0]), 8);
        static_cast<void>(target.abandon());
        other = make_memory(shape);
        format_on(other, shape, 2);
        target = opened_on(other);
    }
    EXPECT_GT(commits.load(), 1U);
    EXPECT_GT(writes.load(), 0U);
    EXPECT_GT(feature_writes.load(), 0U);
}

}  // namespace copy_threads_test
}  // namespace ashlar::test
