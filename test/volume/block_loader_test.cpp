// Operations that are undone where a block is missing, and repeated when it is there.

#include "../store/store_fixture.hpp"

#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/faulty_device.hpp>

#include <chrono>
#include <thread>

namespace ashlar::test {
namespace block_loader_test {

struct threaded : test_blueprint<> {
    using threading = multi_threaded;
};
using threaded_store = store<threaded>;

class BlockLoader : public testing::Test {
  protected:
    BlockLoader() : memory_{make_memory(shape_)}, device_{memory_} {
        format_on<threaded_store>(memory_, shape_);
        auto limits         = small_limits();
        limits.cache_blocks = 24;
        live_               = opened_on<threaded_store>(device_, limits);
        for (std::uint64_t i = 0; i < 200; ++i) {  // records in many blocks
            const auto made = live_.create();
            ASHLAR_EXPECT_OK(made);
        }
        ASHLAR_EXPECT_OK(live_.checkpoint());
        live_.volume().cache.forget_blocks();
    }
    ~BlockLoader() override { static_cast<void>(live_.abandon()); }

    threaded_store::volume_type& volume() { return live_.volume(); }
    region_block                 block(std::uint64_t i) { return volume().regions.object_block(0, i); }
    /// An operation that looks at the first blocks of the object table, one after the other.
    auto look_at(std::uint64_t blocks, std::uint64_t& tries) {
        return [this, blocks, &tries]() noexcept -> result<> {
            ++tries;
            for (std::uint64_t i = 0; i < blocks; ++i) { BOOST_OUTCOME_TRY(volume().metadata().get(block(i))); }
            return success();
        };
    }

    volume_shape                 shape_{.blocks = 3000};
    memory_device                memory_;
    faulty_device<memory_device> device_;
    threaded_store               live_;
};

TEST_F(BlockLoader, AnOperationIsRepeatedOnceForEachBlockThatItMissed) {
    const entered guard{volume()};
    std::uint64_t tries = 0;
    ASHLAR_ASSERT_OK(with_loads(volume(), look_at(3, tries)));
    EXPECT_EQ(tries, 4U);
    ASHLAR_ASSERT_OK(with_loads(volume(), look_at(3, tries)));
    EXPECT_EQ(tries, 5U) << "all are in memory";
}

TEST_F(BlockLoader, AnOperationThatNeedsMoreThanMemoryHoldsEndsUnderTheLock) {
    const entered guard{volume()};
    std::uint64_t tries = 0;
    const auto    many  = [&]() noexcept -> result<> {
        ++tries;
        for (std::uint64_t i = 0; i < 30; ++i) {
            BOOST_OUTCOME_TRY(volume().metadata().get(volume().regions.checksum_block(i)));
        }
        return success();
    };
    for (std::uint64_t i = 0; i < 30; ++i) {  // blocks that were never written are made first
        if (!volume().metadata().get(volume().regions.checksum_block(i))) {
            ASHLAR_ASSERT_OK(volume().metadata().create(volume().regions.checksum_block(i)));
        }
        if (i % 8 == 7) ASHLAR_ASSERT_OK(checkpoint(volume()));
    }
    ASHLAR_ASSERT_OK(checkpoint(volume()));
    volume().cache.forget_blocks();
    ASHLAR_ASSERT_OK(with_loads(volume(), many));
    EXPECT_EQ(tries, loads_outside_max + 1) << "the last time it loads what it needs itself";
    EXPECT_EQ(volume().lock.mode(), load_mode::in_place) << "as it was before";
}

TEST_F(BlockLoader, WhatCannotBeLoadedIsFoundByTheOperationItself) {
    const entered guard{volume()};
    std::uint64_t tries = 0;
    device_.fail(transfer_kind::read, 1, fault_lasts::for_good);
    EXPECT_EQ(code_of(with_loads(volume(), look_at(1, tries))), errc::device_failed);
    EXPECT_EQ(tries, 2U);
    device_.heal();
    // Rot is found in the same way.
    device_.flip_bit(block(0).home, 77);
    EXPECT_EQ(code_of(with_loads(volume(), look_at(1, tries))), errc::checksum_differs);
    device_.heal();
    ASHLAR_EXPECT_OK(with_loads(volume(), look_at(1, tries)));
}

TEST_F(BlockLoader, WhereNoSlotIsLeftTheOperationHearsOfIt) {
    const entered              guard{volume()};
    std::vector<std::uint32_t> pinned;
    for (std::uint64_t i = 0; volume().cache.has_room_for(1); ++i) {
        const auto slot = volume().cache.get_raw(volume(), block_index{2000 + i});
        ASHLAR_ASSERT_OK(slot);
        volume().cache.pin(slot.value());
        pinned.push_back(slot.value());
    }
    std::uint64_t tries = 0;
    EXPECT_EQ(code_of(with_loads(volume(), look_at(1, tries))), errc::too_large);
    for (const auto slot : pinned) volume().cache.unpin(slot);
    ASHLAR_EXPECT_OK(with_loads(volume(), look_at(1, tries)));
}

TEST_F(BlockLoader, ABlockThatIsThereByNowIsNotLoadedAgain) {
    const entered guard{volume()};
    ASHLAR_ASSERT_OK(volume().metadata().get(block(0)));
    const auto reads = device_.calls(transfer_kind::read);
    volume().want(block(0).home, block(0).identity);
    load_wanted(volume());
    EXPECT_EQ(device_.calls(transfer_kind::read), reads);
}

/// Ends the load that another thread seems to make, once somebody waits for it.
template <class Volume>
std::thread ends_later(Volume& volume, std::uint32_t slot, block_index home) {
    return std::thread{[&volume, slot, home] {
        std::this_thread::sleep_for(std::chrono::milliseconds{20});
        const entered guard{volume};
        ASHLAR_EXPECT_OK(volume.load(home, volume.cache.bytes(slot)));
        volume.cache.loaded(slot, true);
        volume.lock.wake();
    }};
}

TEST_F(BlockLoader, ABlockThatAnotherThreadLoadsIsWaitedFor) {
    for (const bool may_repeat : {true, false}) {
        std::uint64_t tries = 0;
        std::uint32_t slot  = no_slot;
        const auto    home  = block(may_repeat ? 0 : 1);
        {
            const entered guard{volume()};
            const auto    begun = volume().cache.begin_loading(home.home, home.identity);
            ASHLAR_ASSERT_OK(begun);
            slot = begun.value();
        }
        auto          other = ends_later(volume(), slot, home.home);
        const auto    reads = device_.calls(transfer_kind::read);
        const entered guard{volume()};
        if (may_repeat) {
            ASHLAR_EXPECT_OK(with_loads(volume(), look_at(1, tries)));
            EXPECT_GE(tries, 2U);
        } else {
            ASHLAR_EXPECT_OK(volume().metadata().get(home));  // who cannot repeat waits where it is
        }
        EXPECT_EQ(device_.calls(transfer_kind::read), reads + 1) << "it was read once";
        {
            const auto out = volume().lock.outside([&]() noexcept -> result<> {
                other.join();
                return success();
            });
            ASHLAR_EXPECT_OK(out);
        }
    }
}

}  // namespace block_loader_test
}  // namespace ashlar::test
