// The only cache: what it keeps, what it gives up, and what a transaction sees of it.

#include <ashlar/device/memory_device.hpp>
#include <ashlar/volume/cache_shadows.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace ashlar {
namespace metadata_cache_test {

constexpr block_size     size{512};
constexpr volume_id      id{std::byte{7}};
constexpr block_identity identity(std::uint64_t number) { return {tag::objects, 0, number}; }

/// Blocks that were sealed for their place, and how often they were read.
struct sealed_blocks {
    memory_device device = memory_device::create(size, block_count{64}).value();
    int           reads  = 0;

    sealed_blocks() {
        for (std::uint64_t i = 0; i < 64; ++i) {
            std::vector<std::byte> block(size.bytes, static_cast<std::byte>(i));
            seal_block(block, tag::objects, {}, seed(identity(i)));
            EXPECT_TRUE(device.write({block_index{i}, block_count{1}}, block));
        }
    }
    [[nodiscard]] static std::uint64_t seed(const block_identity& who) noexcept { return identity_seed(id, who); }
    result<>                           load(block_index home, std::span<std::byte> bytes) noexcept {
                                  ++reads;
                                  return device.read({home, block_count{1}}, bytes);
    }
};

class MetadataCache : public testing::Test {
  protected:
    MetadataCache() {
        arena counted;
        cache.take(counted, size, 16, 4);
        memory.resize(counted.used());
        arena from{memory};
        cache.take(from, size, 16, 4);
        cache.clear();
    }
    result<block_pin> get(std::uint64_t i) { return cache.get(blocks, block_index{i}, identity(i)); }

    std::vector<std::byte> memory;
    metadata_cache         cache;
    sealed_blocks          blocks;
};

TEST_F(MetadataCache, ReadsABlockOnceAndProvesWhereItBelongs) {
    {
        const auto first = get(5);
        ASSERT_TRUE(first);
        EXPECT_EQ(cache.bytes(first.value().slot())[0], std::byte{5});
    }
    ASSERT_TRUE(get(5));
    EXPECT_EQ(blocks.reads, 1);
    const auto misplaced = cache.get(blocks, block_index{6}, identity(7));
    ASSERT_TRUE(misplaced.has_error());
    EXPECT_EQ(misplaced.error().code, errc::checksum_differs);
    EXPECT_EQ(misplaced.error().where, block_index{6});
}

TEST_F(MetadataCache, EvictsOnlyWhatNobodyPinsAndIsAtHome) {
    const auto pinned = get(1);
    ASSERT_TRUE(pinned);
    {
        const auto changed = get(2);
        ASSERT_TRUE(changed);
        cache.change(changed.value().slot(), 0, 8);
    }
    for (std::uint64_t i = 3; i < 63; ++i) ASSERT_TRUE(get(i));
    EXPECT_NE(cache.find(block_index{1}), no_slot);
    EXPECT_NE(cache.find(block_index{2}), no_slot);
    const int before = blocks.reads;
    ASSERT_TRUE(get(1));
    ASSERT_TRUE(get(2));
    EXPECT_EQ(blocks.reads, before);
}

TEST_F(MetadataCache, SaysSoWhenEveryBlockIsHeld) {
    std::vector<block_pin> pins;
    for (std::uint64_t i = 0; i < 16; ++i) {
        auto pin = get(i);
        ASSERT_TRUE(pin);
        pins.push_back(std::move(pin).value());
    }
    EXPECT_FALSE(cache.has_room_for(1));
    EXPECT_EQ(get(20).error().code, errc::too_large);
    pins.pop_back();
    EXPECT_TRUE(cache.has_room_for(1));
    EXPECT_TRUE(get(20));
}

TEST_F(MetadataCache, ACopyIsSeenByItsTransactionAloneUntilItIsMerged) {
    const auto pin = get(9);
    ASSERT_TRUE(pin);
    const auto slot = pin.value().slot();
    const auto copy = cache.shadow(slot, 0);
    ASSERT_TRUE(copy);
    cache.shadow_changes(copy.value()).mark(16, 8);
    cache.shadow_bytes(copy.value())[16] = std::byte{0xAA};
    EXPECT_EQ(cache.bytes(slot)[16], std::byte{9});
    EXPECT_EQ(cache.shadow_of(slot, 1), no_slot);

    const auto other = cache.shadow(slot, 1);
    ASSERT_TRUE(other);
    cache.shadow_changes(other.value()).mark(40, 8);
    cache.shadow_bytes(other.value())[40] = std::byte{0xBB};

    cache.merge(copy.value());
    cache.release_shadow(copy.value());
    EXPECT_EQ(cache.bytes(slot)[16], std::byte{0xAA});
    EXPECT_EQ(cache.bytes(slot)[40], std::byte{9});
    EXPECT_EQ(cache.shadow_bytes(other.value())[16], std::byte{0xAA}) << "what joined is seen by all";
    EXPECT_EQ(cache.shadow_bytes(other.value())[40], std::byte{0xBB}) << "what did not join stays its own";
    ASSERT_EQ(cache.open_slots().size(), 1U);
    cache.release_shadow(other.value());
    EXPECT_EQ(cache.bytes(slot)[40], std::byte{9}) << "what was not merged never happened";
}

TEST_F(MetadataCache, CopiesAreBounded) {
    std::vector<block_pin> pins;
    for (std::uint64_t i = 0; i < 5; ++i) {
        auto pin = get(i);
        ASSERT_TRUE(pin);
        const auto copy = cache.shadow(pin.value().slot(), 0);
        if (i < 4) {
            EXPECT_TRUE(copy);
        } else {
            EXPECT_EQ(copy.error().code, errc::too_large);
        }
        pins.push_back(std::move(pin).value());
    }
}

/// Blocks whose reader would rather begin again: where a block is missing, or while another thread loads it.
struct impatient_blocks : sealed_blocks {
    bool defers_ = false, gives_up_ = false;
    int  waits_ = 0;

    [[nodiscard]] bool defers(block_index, const block_identity&) const noexcept { return defers_; }
    [[nodiscard]] bool must_give_up(block_index, const block_identity&) noexcept {
        if (gives_up_) return true;
        ++waits_;
        gives_up_ = waits_ == 2;
        return false;
    }
};

TEST_F(MetadataCache, AnOperationIsToldToBeginAgainWhereItWouldHaveToWait) {
    impatient_blocks source;
    source.defers_ = true;
    EXPECT_EQ(cache.get(source, block_index{3}, identity(3)).error(), (error{errc::again, {3}}));
    EXPECT_EQ(source.reads, 0);
    source.defers_ = false;
    ASSERT_TRUE(cache.get(source, block_index{3}, identity(3)));

    const auto loading = cache.begin_loading({4}, identity(4));
    ASSERT_TRUE(loading);
    EXPECT_EQ(cache.loading(), 1U);
    EXPECT_EQ(cache.get(source, block_index{4}, identity(4)).error(), (error{errc::again, {4}}));
    EXPECT_EQ(source.waits_, 2);
    cache.loaded(loading.value(), false);
    EXPECT_EQ(cache.find({4}), no_slot) << "what is not whole is forgotten";
    EXPECT_EQ(cache.loading(), 0U);
}

TEST_F(MetadataCache, ABlockThatWasFreedWhileItWasLoadedIsForgotten) {
    const auto loading = cache.begin_loading({8}, identity(8));
    ASSERT_TRUE(loading);
    cache.forget({8});
    EXPECT_EQ(cache.find({8}), loading.value()) << "its bytes are still being read";
    EXPECT_EQ(cache.fresh({8}, identity(8)).error(), (error{errc::again, {8}}));
    cache.loaded(loading.value(), true);
    EXPECT_EQ(cache.find({8}), no_slot);
    ASSERT_TRUE(get(9));
    cache.forget({9});
    EXPECT_EQ(cache.find({9}), no_slot);
    cache.forget({9});  // nothing is there
    const auto kept = cache.begin_loading({10}, identity(10));
    ASSERT_TRUE(kept);
    cache.loaded(kept.value(), true);
    EXPECT_NE(cache.find({10}), no_slot);
}

TEST_F(MetadataCache, ABlockIsKnownByOneIdentityAndOnlyOnceItIsBorn) {
    ASSERT_TRUE(get(5));
    EXPECT_EQ(cache.get(blocks, block_index{5}, identity(6)).error(), (error{errc::checksum_differs, {5}}));
    const auto made = cache.fresh({40}, identity(40));
    ASSERT_TRUE(made);
    cache.at(made.value().slot()).unborn = true;
    EXPECT_EQ(cache.get(blocks, block_index{40}, identity(40)).error(), (error{errc::checksum_differs, {40}}));
    cache.at(made.value().slot()).unborn = false;
    EXPECT_TRUE(cache.get(blocks, block_index{40}, identity(40)));
}

TEST_F(MetadataCache, AnUnbornBlockIsNotEvicted) {
    std::uint32_t slot = no_slot;
    {
        auto made = cache.fresh({40}, identity(40));
        ASSERT_TRUE(made);
        slot                  = made.value().slot();
        cache.at(slot).unborn = true;
    }
    EXPECT_FALSE(cache.at(slot).evictable());
    for (std::uint64_t i = 0; i < 39; ++i) ASSERT_TRUE(get(i));
    EXPECT_EQ(cache.find({40}), slot);
    cache.at(slot).unborn = false;
    EXPECT_TRUE(cache.at(slot).evictable());
}

TEST_F(MetadataCache, ANewBlockTakesThePlaceOfAnOldOneThatNobodyNeeds) {
    ASSERT_TRUE(get(5));
    {
        const auto made = cache.fresh({5}, identity(5));
        ASSERT_TRUE(made);
        EXPECT_EQ(cache.bytes(made.value().slot())[0], std::byte{0});
        EXPECT_EQ(cache.fresh({5}, identity(5)).error(), (error{errc::damaged, {5}})) << "somebody holds it";
    }
    cache.install_frame(frame_slot::directory, {60}, identity(60));
    // A frame is found by its slot alone, so its place is not in the index of the blocks.
    EXPECT_EQ(cache.find({60}), no_slot);
}

TEST_F(MetadataCache, DataThatRidesTakesASlotUntilItGoesHome) {
    const std::vector<std::byte> data(size.bytes, std::byte{0xD7});
    EXPECT_TRUE(cache.riding_bytes({7}).empty());
    ASSERT_TRUE(get(7));
    const auto slot = cache.ride({7}, data);
    ASSERT_TRUE(slot) << "the older block of that place is forgotten";
    EXPECT_EQ(cache.riding(), 1U);
    ASSERT_EQ(cache.riding_bytes({7}).size(), size.bytes);
    EXPECT_EQ(cache.riding_bytes({7})[9], std::byte{0xD7});
    ASSERT_TRUE(get(9));
    EXPECT_TRUE(cache.riding_bytes({9}).empty()) << "metadata";
    EXPECT_TRUE(cache.riding_bytes({50}).empty()) << "the device has it";
    EXPECT_EQ(cache.ride({7}, data).error(), (error{errc::too_large, {7}})) << "it is changed and not at home";
    cache.close_batch();
    cache.drop(slot.value());
    EXPECT_EQ(cache.riding(), 0U);
}

TEST_F(MetadataCache, WhereEverySlotIsHeldNothingTakesOne) {
    std::vector<block_pin> pins;
    for (std::uint64_t i = 0; i < 16; ++i) {
        auto pin = get(i);
        ASSERT_TRUE(pin);
        pins.push_back(std::move(pin).value());
    }
    const std::vector<std::byte> data(size.bytes);
    EXPECT_EQ(cache.begin_loading({20}, identity(20)).error(), (error{errc::too_large, {20}}));
    EXPECT_EQ(cache.ride({20}, data).error(), (error{errc::too_large, {20}}));
    EXPECT_EQ(cache.ride({3}, data).error(), (error{errc::too_large, {3}})) << "somebody looks at what was there";
    EXPECT_EQ(cache.get_raw(blocks, {20}).error(), (error{errc::too_large, {20}}));
    EXPECT_EQ(cache.fresh({20}, identity(20)).error(), (error{errc::too_large, {20}}));
    EXPECT_EQ(cache.get_raw(blocks, {3}).value(), cache.find({3}));
    // A pin that is moved onto itself stays one pin.
    auto& same   = pins.front();
    pins.front() = std::move(same);
    EXPECT_EQ(cache.at(pins.front().slot()).pins, 1U);
    pins.clear();
    EXPECT_TRUE(cache.has_room_for(16));
    EXPECT_FALSE(cache.has_room_for(17));
}

TEST(MetadataCacheWithoutCopies, MakesNone) {
    metadata_cache cache;
    arena          counted;
    cache.take(counted, size, 16, 0);
    std::vector<std::byte> memory(counted.used());
    arena                  from{memory};
    cache.take(from, size, 16, 0);
    cache.clear();
    sealed_blocks blocks;
    const auto    pin = cache.get(blocks, block_index{1}, identity(1));
    ASSERT_TRUE(pin);
    EXPECT_EQ(cache.shadows_free(), 0U);
    EXPECT_EQ(cache.shadow(pin.value().slot(), 0).error(), (error{errc::too_large, {1}}));
}

TEST(Arena, CountsAtLeastWhatItThenTakesWhereverTheMemoryLies) {
    const auto lay_out = [](arena& from) {
        static_cast<void>(from.take_bytes(3, 1));
        static_cast<void>(from.take<std::uint64_t>(7));
        static_cast<void>(from.take_bytes(100, 64));
        return from.take<std::uint32_t>(5);
    };
    arena counted;
    static_cast<void>(lay_out(counted));
    EXPECT_FALSE(counted.spent()) << "it only counts";
    std::vector<std::byte> memory(counted.used() + 64);
    for (std::size_t shift = 0; shift < 64; ++shift) {
        arena      from{std::span{memory}.subspan(shift, counted.used())};
        const auto last = lay_out(from);
        EXPECT_FALSE(from.spent());
        ASSERT_EQ(last.size(), 5U);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(last.data()) % alignof(std::uint32_t), 0U);
    }
    arena small{std::span{memory}.first(50)};
    EXPECT_TRUE(lay_out(small).empty());
    EXPECT_TRUE(small.spent());
}

}  // namespace metadata_cache_test
}  // namespace ashlar
