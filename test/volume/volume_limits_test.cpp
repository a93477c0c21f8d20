// Sizes that are chosen at open, where things lie in a new volume, and buffers for parts of blocks.

#include "../store/store_fixture.hpp"

#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/volume/format_volume.hpp>

#include <functional>

namespace ashlar::test {
namespace volume_limits_test {

TEST(VolumeLimits, EachLimitHasALeast) {
    volume_limits least;
    least.cache_blocks  = 16;
    least.transactions  = 2;
    least.transaction   = {.shadows = 8, .extents = 4, .data_blocks = 2, .objects = 1};
    least.space         = {.groups_loaded = 1, .hint_cells = 1, .retired = 8, .holds = 1};
    least.unsynced_runs = 4;
    least.edge_buffers  = 4;
    least.verify_groups = 1;
    EXPECT_TRUE(are_possible(least));
    const std::function<void(volume_limits&)> below[] = {
        [](auto& l) { --l.cache_blocks; },
        [](auto& l) { l.cache_blocks = std::size_t{1} << 30U; },
        [](auto& l) { --l.transactions; },
        [](auto& l) { --l.transaction.shadows; },
        [](auto& l) { --l.transaction.extents; },
        [](auto& l) { --l.transaction.data_blocks; },
        [](auto& l) { --l.transaction.objects; },
        [](auto& l) { --l.space.groups_loaded; },
        [](auto& l) { l.space.groups_loaded = 0x10000; },
        [](auto& l) { --l.space.hint_cells; },
        [](auto& l) { --l.space.retired; },
        [](auto& l) { --l.space.holds; },
        [](auto& l) { --l.unsynced_runs; },
        [](auto& l) { --l.edge_buffers; },
        [](auto& l) { --l.verify_groups; },
    };
    int which = 0;
    for (const auto& change : below) {
        auto limits = least;
        change(limits);
        EXPECT_FALSE(are_possible(limits)) << "limit " << which++;
    }
}

TEST(VolumeLimits, AStoreWorksWithTheLeastOfAll) {
    const volume_shape shape{};
    auto               memory = make_memory(shape);
    format_on(memory, shape);
    auto limits          = small_limits();
    limits.cache_blocks  = cache_blocks_min;
    limits.transactions  = 2;
    limits.transaction   = {.shadows = 64, .extents = 4, .data_blocks = 2, .objects = 1};
    limits.space         = {.groups_loaded = 1, .hint_cells = 1, .retired = 8, .holds = 1};
    limits.unsynced_runs = 4;
    limits.edge_buffers  = 4;
    limits.staged_bytes  = 0;
    EXPECT_EQ(granted(limits).shadows, cache_blocks_min - 8) << "eight blocks are left for lookups";
    auto live = opened_on(memory, limits);
    for (std::uint64_t i = 0; i < 60; ++i) {
        ASHLAR_ASSERT_OK(live.write(live.root(), (i % 7) * 400, pattern(400, i)));
        if (i % 9 == 0) ASHLAR_ASSERT_OK(live.trim({20}));
    }
    EXPECT_EQ(findings_of(live), "");
}

TEST(VolumeLayout, ARingGrowsWithTheVolumeWithinBounds) {
    const std::pair<std::uint64_t, std::uint64_t> rings[] = {
        {400, 64}, {800, 100}, {8191, 256}, {8192, 256}, {64 * 1024, 2048}, {512 * 1024, 16'384}, {1U << 30U, 16'384},
    };
    for (const auto& [blocks, ring] : rings) {
        for (const bool sums : {false, true}) {
            const auto geometry = volume_geometry::of({4096}, block_count{blocks});
            const auto layout   = volume_layout::of(geometry, {}, sums);
            EXPECT_EQ(layout.journal.count.value, ring) << blocks;
            EXPECT_EQ(layout.checksums.empty(), !sums);
            const extent order[] = {layout.journal, layout.groups,    layout.bitmaps,
                                    layout.trimmed, layout.checksums, layout.objects};
            auto         next    = frame_home(frame::count, {4096});
            for (const auto& one : order) {
                EXPECT_EQ(one.first, next) << "one behind the other";
                next = one.end();
            }
            EXPECT_EQ(layout.data, next);
        }
    }
    format_options chosen;
    chosen.journal_blocks = {77};
    EXPECT_EQ(volume_layout::of(volume_geometry::of({512}, {9000}), chosen, true).journal.count.value, 77U);
}

/// Memory that claims to have blocks of a size which no volume can have.
struct odd_device {
    [[nodiscard]] device_geometry geometry() const noexcept { return {{1000}, {5000}}; }
    [[nodiscard]] result<>        read(extent, std::span<std::byte>) noexcept { return errc::device_failed; }
    [[nodiscard]] result<>        write(extent, std::span<const std::byte>) noexcept { return errc::device_failed; }
    [[nodiscard]] result<>        sync() noexcept { return errc::device_failed; }
    [[nodiscard]] result<>        trim(extent) noexcept { return errc::device_failed; }
};

TEST(FormatVolume, OptionsThatMakeNoVolumeAreRefusedBeforeAnythingIsWritten) {
    using volume_type = test_store::volume_type;
    const volume_shape shape{};
    auto               memory = make_memory(shape);
    random_bits{5}.fill(memory.bytes());
    const byte_vector before(memory.bytes().begin(), memory.bytes().end());
    byte_vector       scratch(format_scratch_bytes<volume_type>({512}));
    any_device        device{memory};
    const auto        format = [&](const format_options& options, std::size_t bytes) {
        return format_volume<volume_type>(device, options, extent_tree::format_id, std::span{scratch}.first(bytes));
    };
    const std::string labels[] = {std::string(63, 'a'), std::string(64, 'a')};
    auto              options  = shape.format();
    options.label              = labels[1];
    EXPECT_EQ(code_of(format(options, scratch.size())), errc::invalid_argument) << "a label of 64 bytes";
    options.label        = {};
    options.record_bytes = 260;
    EXPECT_EQ(code_of(format(options, scratch.size())), errc::invalid_argument) << "the width of a record";
    options.record_bytes = object_record_bytes;
    EXPECT_EQ(code_of(format(options, scratch.size() - 1)), errc::workspace_too_small);
    odd_device odd;
    any_device no_blocks{odd};
    EXPECT_EQ(code_of(test_store::format(no_blocks, options)), errc::invalid_argument) << "blocks of 1000 bytes";
    EXPECT_TRUE(std::equal(before.begin(), before.end(), memory.bytes().begin()));

    options.label = labels[0];
    ASHLAR_ASSERT_OK(format(options, scratch.size()));
    auto live = opened_on(memory);
    EXPECT_EQ(findings_of(live), "");
    const auto super = load_struct<superblock>(live.volume().cache.bytes(0));
    EXPECT_EQ(std::string(super.label, 63), labels[0]);
}

TEST(BufferPool, HandsOutEachBufferOnceUntilItIsGivenBack) {
    for (const std::size_t buffers : {1U, 4U, 31U, 32U, 40U}) {
        buffer_pool pool;
        arena       counted;
        pool.take(counted, {512}, buffers, 512);
        byte_vector memory(counted.used());
        arena       from{memory};
        pool.take(from, {512}, buffers, 512);
        const std::size_t most = buffers < 32 ? buffers : 32;
        EXPECT_EQ(pool.available(), most);
        std::set<std::byte*>         seen;
        std::vector<borrowed_buffer> taken;
        for (std::size_t i = 0; i < most; ++i) {
            taken.emplace_back(pool, pool.borrow());
            EXPECT_EQ(taken.back().bytes().size(), 512U);
            EXPECT_TRUE(seen.insert(taken.back().bytes().data()).second);
        }
        EXPECT_TRUE(pool.borrow().empty()) << "all are taken";
        auto& first = taken.front();
        first       = std::move(taken.back());  // what it had is given back
        EXPECT_EQ(pool.available(), most == 1 ? 0U : 1U);
        auto& same = first;
        first      = std::move(same);
        EXPECT_EQ(pool.available(), most == 1 ? 0U : 1U) << "it keeps what it has";
        taken.clear();
        EXPECT_EQ(pool.available(), most);
    }
}

}  // namespace volume_limits_test
}  // namespace ashlar::test
