// A trim that waits for a block while other threads look at other groups.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/testing/scheduled.hpp>

#include <algorithm>
#include <array>
#include <memory>

namespace ashlar::test {
namespace trim_interleaving_test {

struct scheduled_blueprint : blueprint {
    using device    = any_device;
    using journal   = ring_journal;
    using threading = scheduled;
};
using scheduled_store = store<scheduled_blueprint>;

constexpr std::uint32_t block = 512;

/// Two groups, one of which is in memory. The first is almost full and the second almost empty, so whoever takes the
/// one for the other takes what is in use for free. The cache is so small that bitmaps are loaded again and again.
class two_groups {
  public:
    two_groups() : memory_{make_memory(shape())}, slow_{memory_} {
        format_on<scheduled_store>(memory_, shape());
        auto limits                = small_limits();
        limits.cache_blocks        = 20;
        limits.transactions        = 6;
        limits.staged_bytes        = 0;
        limits.space.groups_loaded = 1;
        auto opened                = scheduled_store::open(any_device{slow_}, with<scheduled_store>(limits));
        EXPECT_TRUE(opened) << said(opened);
        store_ = std::move(opened).value();
        for (auto& id : ids_) id = store_.create().value();
        extend(0, blocks_per_group({block}) - 400);
        extend(1, 600);
        for (int i = 0; i < 400; ++i) {
            const auto done = store_.trim(block_count{4000});
            EXPECT_TRUE(done) << said(done);
            if (!done || done.value().finished) break;
        }
    }

    /// Threads that change what lies in each group, and one that trims.
    std::string run(std::uint64_t seed) {
        schedule threads{seed, {.switch_permille = 400}};
        for (std::size_t i = 0; i < 2; ++i) {
            threads.spawn("writer " + std::to_string(i), [this, i, seed] {
                random_bits random{seed * 4 + i};
                for (int step = 0; step < 12; ++step) write(i, random.below(models_[i].size() / block), random.next());
            });
        }
        threads.spawn("trimmer", [this] {
            for (int step = 0; step < 12; ++step) {
                const auto done = store_.trim(block_count{40});
                EXPECT_TRUE(done) << said(done);
                if (done) trimmed_ += done.value().blocks.value;
            }
        });
        const auto report = threads.run();
        stuck_            = !report.stuck.empty();
        if (stuck_) return report.stuck;
        ASHLAR_EXPECT_OK(store_.sync());
        for (std::size_t i = 0; i < ids_.size(); ++i) {
            byte_vector found(models_[i].size());
            ASHLAR_EXPECT_OK(store_.read(ids_[i], 0, std::span<std::byte>{found}));
            if (found != models_[i]) return "object " + std::to_string(ids_[i].value) + " holds other bytes";
        }
        return findings_of(store_);
    }
    [[nodiscard]] std::uint64_t trimmed() const { return trimmed_; }
    [[nodiscard]] bool          is_stuck() const { return stuck_; }

  private:
    static volume_shape shape() {
        return {.block_bytes = block, .blocks = 2 * blocks_per_group({block}), .journal_blocks = 96};
    }
    void write(std::size_t which, std::uint64_t at, std::uint64_t seed) {
        const auto bytes = pattern(block, seed);
        const auto done  = store_.write(ids_[which], at * block, bytes);
        ASHLAR_EXPECT_OK(done);
        if (done)
            std::copy(bytes.begin(), bytes.end(), models_[which].begin() + static_cast<std::ptrdiff_t>(at * block));
    }
    void extend(std::size_t which, std::uint64_t blocks) {
        models_[which].resize(static_cast<std::size_t>(blocks * block));
        ASHLAR_EXPECT_OK(store_.truncate(ids_[which], blocks * block));
        for (std::uint64_t at = 0; at + 8 <= blocks; at += 8) {
            const auto bytes = pattern(8 * block, at);
            ASHLAR_EXPECT_OK(store_.write(ids_[which], at * block, bytes));
            std::copy(bytes.begin(), bytes.end(), models_[which].begin() + static_cast<std::ptrdiff_t>(at * block));
        }
        ASHLAR_EXPECT_OK(store_.checkpoint());
    }

    memory_device                  memory_;
    yielding_device<memory_device> slow_;
    scheduled_store                store_;
    std::array<object_id, 2>       ids_{};
    std::array<byte_vector, 2>     models_{};
    std::uint64_t                  trimmed_ = 0;
    bool                           stuck_   = false;
};

TEST(TrimInterleaving, ATrimThatWaitedForABlockStillKnowsWhichGroupItLooksAt) {
    auto world = std::make_unique<two_groups>();
    for (std::uint64_t seed = 1; seed <= scaled(100); ++seed) {
        const auto wrong = world->run(seed);
        if (world->is_stuck()) static_cast<void>(world.release());  // its threads stand in it
        ASSERT_EQ(wrong, "") << "seed " << seed;
    }
    count("interleavings of threads", scaled(100));
    EXPECT_GT(world->trimmed(), scaled(100));
}

}  // namespace trim_interleaving_test
}  // namespace ashlar::test
