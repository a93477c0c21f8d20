// Which bytes of a block have changed.

#include <ashlar/testing/random_bits.hpp>
#include <ashlar/volume/dirty_bits.hpp>

#include <gtest/gtest.h>

#include <array>
#include <utility>
#include <vector>

namespace ashlar {
namespace dirty_bits_test {

using runs = std::vector<std::pair<std::size_t, std::size_t>>;

runs runs_of(dirty_bits bits, std::size_t gap = 0) {
    runs found;
    bits.for_each_run([&](std::size_t offset, std::size_t length) { found.emplace_back(offset, length); }, gap);
    return found;
}

TEST(DirtyBits, AChangeOfAHundredBytesIsOneRunOfLittleMore) {
    std::array<bits_word, dirty_words(4096)> words{};
    dirty_bits                               bits{words};
    bits.mark(1003, 100);
    EXPECT_EQ(runs_of(bits), (runs{{1000, 104}}));
}

TEST(DirtyBits, RunsNearerThanAnEntryCostsBecomeOne) {
    std::array<bits_word, dirty_words(512)> words{};
    dirty_bits                              bits{words};
    bits.mark(0, 8);
    bits.mark(24, 8);
    bits.mark(64, 8);
    EXPECT_EQ(runs_of(bits), (runs{{0, 8}, {24, 8}, {64, 8}}));
    EXPECT_EQ(runs_of(bits, 16), (runs{{0, 32}, {64, 8}}));
    EXPECT_EQ(runs_of(bits, 32), (runs{{0, 72}}));
    bits.clear();
    EXPECT_TRUE(runs_of(bits).empty());
}

TEST(DirtyBits, AgreeWithAModelThatMarksByteByByte) {
    random_bits random{3};
    for (int round = 0; round < 2000; ++round) {
        std::array<bits_word, dirty_words(4096)> words{};
        dirty_bits                               bits{words};
        std::vector<bool>                        granules(4096 / granule_bytes);
        for (std::uint64_t i = 0, n = random.below(6); i < n; ++i) {
            const auto offset = static_cast<std::size_t>(random.below(4096));
            const auto length = static_cast<std::size_t>(random.below(4096 - offset + 1));
            bits.mark(offset, length);
            for (std::size_t byte = offset; byte < offset + length; ++byte) granules[byte / granule_bytes] = true;
        }
        std::vector<bool> shown(granules.size());
        for (const auto& [offset, length] : runs_of(bits)) {
            for (std::size_t byte = offset; byte < offset + length; byte += granule_bytes)
                shown[byte / granule_bytes] = true;
        }
        ASSERT_EQ(shown, granules);
    }
}

}  // namespace dirty_bits_test
}  // namespace ashlar
