#include "store_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>

#include <chrono>

namespace ashlar::test {
namespace store_space_test {

struct compacting : test_blueprint<> {
    using defrag = best_gain;
};
using compacting_store = store<compacting>;

bool is_full(errc code) {
    return code == errc::no_space || code == errc::reserve_only || code == errc::no_contiguous_space;
}

/// Writes objects until nothing fits any more; the last writes are of one byte. Answers why it ended.
template <class Store>
errc fill(Store& live, std::vector<object_id>& objects, std::size_t bytes, std::uint64_t seed) {
    random_bits random{seed};
    errc        why = errc::none;
    for (std::size_t part = bytes; part > 0; part /= 2) {
        for (;;) {
            if (objects.empty() || random.below(8) == 0) {
                const auto made = live.create();
                if (made) objects.push_back(made.value());
            }
            const auto done = live.append(objects[random.below(objects.size())], pattern(part, random.next()));
            if (done) continue;
            why = done.error().code;
            if (!is_full(why)) return why;
            break;
        }
    }
    return why;
}

TEST(StoreSpace, AFullVolumeSaysSoAndErasingFreesEverything) {
    for (const std::uint32_t block : {512U, 4096U}) {
        const volume_shape shape{.block_bytes = block, .blocks = 2600, .journal_blocks = 96};
        auto               memory = make_memory(shape);
        checked_memory     checked{memory};
        format_on(checked, shape);
        auto       live  = opened_on(checked);
        const auto fresh = live.info();
        for (std::uint64_t round = 1; round <= 3; ++round) {
            std::vector<object_id> objects;
            const auto             why = fill(live, objects, 6 * block, round);
            EXPECT_TRUE(is_full(why)) << message(why);
            EXPECT_EQ(live.info().available, block_count{0});
            EXPECT_GT(live.info().free, block_count{0}) << "the reserves";
            EXPECT_EQ(code_of(live.reserve(live.root(), 0, block)), errc::reserve_only);
            EXPECT_EQ(findings_of(live), "");
            ASHLAR_ASSERT_OK(live.sync());
            if (round == 2) {
                static_cast<void>(live.abandon());
                live = opened_on(checked);
            }
            for (const auto id : objects) ASHLAR_ASSERT_OK(live.erase(id));
            while (live.volume().space.totals().dying_head != 0) ASHLAR_ASSERT_OK(live.maintain());
            ASHLAR_ASSERT_OK(live.checkpoint());
            EXPECT_EQ(findings_of(live), "");
            EXPECT_EQ(live.info().objects, 1U);
            const auto    parts = live.volume().regions.object_parts();
            std::uint64_t table = 0;
            for (const auto& part : parts.subspan(1)) table += part.count.value;
            EXPECT_EQ(live.info().free.value + table, fresh.free.value)
                << "all but the parts that the object table got";
        }
        expect_order(checked);
    }
}

TEST(StoreSpace, FromAFullVolumeEachObjectCanBeTruncatedPunchedAndOverwrittenAgain) {
    const volume_shape shape{.blocks = 1800, .journal_blocks = 96};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto                   live = opened_on(memory);
    std::vector<object_id> objects;
    EXPECT_TRUE(is_full(fill(live, objects, 4000, 9)));
    for (std::size_t i = 0; i + 1 < objects.size(); i += 2) {
        const auto size = live.size(objects[i]).value();
        ASHLAR_ASSERT_OK(live.punch(objects[i], size / 3 + 1, size / 3));
        ASHLAR_ASSERT_OK(live.truncate(objects[i], size / 2 + 1));
        ASHLAR_ASSERT_OK(live.sync());
    }
    for (std::size_t i = 0; i + 1 < objects.size(); i += 2)
        ASHLAR_ASSERT_OK(live.write(objects[i], 0, pattern(700, i)));
    EXPECT_EQ(findings_of(live), "");
}

TEST(StoreSpace, AFullVolumeCanBeCompactedAfterErasing) {
    const volume_shape shape{.blocks = 3000, .journal_blocks = 96};
    auto               memory = make_memory(shape);
    checked_memory     checked{memory};
    format_on<compacting_store>(checked, shape);
    auto chosen   = with<compacting_store>();
    chosen.defrag = eager_defragmenter();
    auto opened   = compacting_store::open(any_device{checked}, chosen);
    ASHLAR_ASSERT_OK(opened);
    auto&                  live = opened.value();
    std::vector<object_id> objects;
    EXPECT_TRUE(is_full(fill(live, objects, 1500, 3)));
    for (std::size_t i = 0; i < objects.size(); ++i) {
        if (i % 4 == 0) { ASHLAR_ASSERT_OK(live.erase(objects[i])); }
    }
    const auto before = digest_on(live);
    ASHLAR_ASSERT_OK(before);
    const auto extents = live.info().extents;
    ASHLAR_ASSERT_OK(live.sync());
    for (int i = 0; i < 400; ++i) {
        const auto step = live.maintain({.blocks_max = 64});
        ASHLAR_ASSERT_OK(step);
        if (i % 8 == 0) { ASHLAR_ASSERT_OK(live.sync()); }
    }
    EXPECT_EQ(digest_on(live).value(), before.value());
    EXPECT_EQ(findings_of(live), "");
    EXPECT_LT(live.info().extents, extents);
    ASHLAR_ASSERT_OK(live.close());
    expect_order(checked);
}

// Large maps and tables in a small cache.
// -------------------------------------------------------------------------------

/// A cache of 64 blocks.
volume_limits tiny_cache() {
    auto limits         = small_limits();
    limits.cache_blocks = 64;
    return limits;
}

double seconds_since(std::chrono::steady_clock::time_point begun) {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

TEST(StoreSpace, AnObjectOfManyExtentsGivesEveryBlockBack) {
    const auto         extents = scaled(1'000'000);
    const volume_shape shape{.block_bytes = 512, .blocks = extents * 5 / 4 + 4000, .journal_blocks = 2048};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto       live  = opened_on(memory, tiny_cache());
    const auto begun = std::chrono::steady_clock::now();
    const auto id    = live.create().value();
    ASHLAR_ASSERT_OK(live.sync());
    const auto free = live.info().free;
    for (std::uint64_t i = 0; i < extents; ++i) {
        const auto data = pattern(512, i % 16);
        const auto done = live.write(id, 2 * i * 512, data);
        ASSERT_TRUE(done) << said(done) << " at extent " << i;
    }
    EXPECT_EQ(live.info(id).value().extents, extents);
    std::printf("%llu extents written in %.1f s\n", static_cast<unsigned long long>(extents), seconds_since(begun));
    random_bits random{8};
    byte_vector bytes(512);
    for (int i = 0; i < 2000; ++i) {
        const auto at = random.below(extents);
        ASHLAR_ASSERT_OK(live.read(id, 2 * at * 512, std::span<std::byte>{bytes}));
        ASSERT_TRUE(bytes == pattern(512, at % 16)) << at;
    }
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());
    live = opened_on(memory, tiny_cache());
    EXPECT_EQ(live.info(id).value().extents, extents);
    const auto erased = std::chrono::steady_clock::now();
    ASHLAR_ASSERT_OK(live.erase(id));
    ASHLAR_ASSERT_OK(live.sync());
    static_cast<void>(live.abandon());  // a cut between the steps
    live = opened_on(memory, tiny_cache());
    while (live.volume().space.totals().dying_head != 0) ASHLAR_ASSERT_OK(live.maintain());
    std::printf("erased in %.1f s\n", seconds_since(erased));
    EXPECT_EQ(live.info().free, free);
    EXPECT_EQ(findings_of(live), "");
}

TEST(StoreSpace, ManyObjectsLiveInASmallCache) {
    const auto         objects = scaled(1'000'000);
    const volume_shape shape{.block_bytes = 1024, .blocks = objects / 2 + 8000, .journal_blocks = 2048};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto                   live  = opened_on(memory, tiny_cache());
    const auto             begun = std::chrono::steady_clock::now();
    std::vector<object_id> ids;
    for (std::uint64_t i = 0; i < objects; ++i) {
        const auto made = live.create();
        ASSERT_TRUE(made) << said(made) << " at object " << i;
        ids.push_back(made.value());
        if (i % 8 != 0) continue;
        const auto done = live.write(made.value(), i % 100, pattern(20, i));
        ASSERT_TRUE(done) << said(done) << " at object " << i;
    }
    ASHLAR_ASSERT_OK(live.sync());
    std::printf("%llu objects made in %.1f s\n", static_cast<unsigned long long>(objects), seconds_since(begun));
    static_cast<void>(live.abandon());
    live = opened_on(memory, tiny_cache());
    EXPECT_EQ(live.info().objects, objects + 1);
    std::uint64_t seen = 0;
    for (object_id at{};; ++seen) {
        const auto next = live.next_object(at);
        ASHLAR_ASSERT_OK(next);
        if (!next.value()) break;
        at = *next.value();
    }
    EXPECT_EQ(seen, objects + 1);
    random_bits random{3};
    byte_vector bytes(20);
    for (int i = 0; i < 2000; ++i) {
        const auto at = random.below(objects / 8) * 8;
        ASHLAR_ASSERT_OK(live.read(ids[at], at % 100, std::span<std::byte>{bytes}));
        ASSERT_TRUE(bytes == pattern(20, at)) << at;
    }
    const auto erasing = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < ids.size(); i += 3) ASSERT_TRUE(live.erase(ids[i])) << i;
    for (std::uint64_t i = 0; i < objects / 4; ++i) {
        const auto made = live.create();
        ASSERT_TRUE(made) << said(made) << " at object " << i;
    }
    std::printf("a third erased, a quarter made again in %.1f s\n", seconds_since(erasing));
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace store_space_test
}  // namespace ashlar::test
