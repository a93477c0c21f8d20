// Directories that lie under a right checksum: refused, or everything stays within the volume.

#include "region_fixture.hpp"

#include "../counts.hpp"

#include <ashlar/compaction.hpp>

namespace ashlar::test {
namespace region_hostile_test {

const volume_shape shape{.block_bytes = 512, .blocks = 1200, .journal_blocks = 96};

/// A closed volume with two users' regions, whose directory is written over.
class hostile_volume {
  public:
    hostile_volume() : memory_{make_memory(shape)} {
        format_on(memory_, shape);
        auto live = opened_on(memory_);
        for (const auto type : {logs, maps}) {
            ASHLAR_EXPECT_OK(store_regions{live}.add({.type = type, .blocks = block_count{40}}));
        }
        slots_ = store_regions{live}.count();
        ASHLAR_EXPECT_OK(live.append(live.root(), pattern(5, 512, 1)));
        ASHLAR_EXPECT_OK(live.close());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
        head_ = load_struct<directory_head>(content());
        for (std::uint32_t i = 0; i < slots_; ++i) slots_as_they_are_.push_back(at(i));
    }

    [[nodiscard]] std::uint32_t slots() const { return slots_; }
    /// The slot of a type as the volume has it.
    [[nodiscard]] std::uint32_t index_of(std::uint32_t type) const {
        std::uint32_t i = 0;
        while (slots_as_they_are_[i].type != type) ++i;
        return i;
    }
    [[nodiscard]] region_slot    slot(std::uint32_t i) const { return slots_as_they_are_[i]; }
    [[nodiscard]] directory_head head() const { return head_; }

    /// What opening answers where the directory's bytes at `offset` are these.
    result<test_store> open_with(std::size_t offset, std::span<const std::byte> bytes) {
        std::copy(base_.begin(), base_.end(), memory_.bytes().begin());
        std::copy(bytes.begin(), bytes.end(), content().begin() + static_cast<std::ptrdiff_t>(offset));
        return open();
    }
    result<test_store> open_with(std::uint32_t i, const region_slot& slot) {
        std::byte bytes[sizeof slot];
        store_struct(std::span{bytes}, slot);
        return open_with(region_slot_offset(i), bytes);
    }
    result<test_store> open_with(const directory_head& head) {
        std::byte bytes[sizeof head];
        store_struct(std::span{bytes}, head);
        return open_with(0, bytes);
    }
    [[nodiscard]] std::byte byte_at(std::size_t offset) const {
        return base_[static_cast<std::size_t>(frame::directory) * frame_bytes_min + offset];
    }

  private:
    [[nodiscard]] std::span<std::byte> content() {
        return memory_.bytes().subspan(static_cast<std::size_t>(frame::directory) * frame_bytes_min, frame_bytes_min);
    }
    [[nodiscard]] region_slot at(std::uint32_t i) {
        return load_struct<region_slot>(content().subspan(region_slot_offset(i)));
    }
    result<test_store> open() {
        volume_id volume{};
        std::memcpy(volume.data(), load_struct<superblock>(memory_.bytes()).volume, volume.size());
        seal_block(content(), tag::directory, {0}, identity_seed(volume, directory_identity));
        const auto mirror = memory_.bytes().subspan(static_cast<std::size_t>(frame::directory_mirror) * frame_bytes_min,
                                                    frame_bytes_min);
        std::copy(content().begin(), content().end(), mirror.begin());
        return test_store::open(any_device{memory_}, with<test_store>());
    }

    memory_device            memory_;
    byte_vector              base_;
    std::uint32_t            slots_ = 0;
    directory_head           head_{};
    std::vector<region_slot> slots_as_they_are_;
};

/// Uses all that opened; whatever it answers lies within the volume.
void use(test_store& live) {
    store_regions            regions{live};
    std::vector<region_info> seen;
    for (std::uint32_t i = 0; i < regions.count(); ++i) {
        const auto one = regions.at(i).value();
        EXPECT_FALSE(one.place.empty());
        EXPECT_TRUE(lies_in(one.place, {block_index{0}, block_count{shape.blocks}}));
        for (const auto& other : seen) {
            EXPECT_FALSE(overlap(one.place, other.place));
            EXPECT_NE(one.name, other.name);
        }
        seen.push_back(one);
    }
    region_move lines[8];
    auto        compacting = compaction<test_blueprint<>>::open(live, {.regions = {.threshold_permille = 1}}).value();
    static_cast<void>(compacting.plan(lines));
    static_cast<void>(live.verify([](const verify_finding&) {}));
    for (const auto& one : seen) {
        auto opened = regions.open(one.name);
        EXPECT_EQ(code_of(opened), one.engine ? errc::invalid_argument : errc::none);
        if (!opened) continue;
        const auto bytes = read_all(opened.value());
        ASHLAR_EXPECT_OK(opened.value().write({block_index{0}, one.place.count}, bytes));
    }
    for (int i = 0; i < 100 && compacting.step().reasons == stop_reason::budget_spent; ++i) {}
    for (const auto& one : seen) static_cast<void>(regions.remove(one.name));
    static_cast<void>(live.checkpoint());
}

TEST(RegionHostile, EveryByteOfTheDirectoryChangedIsRefusedOrHarmless) {
    hostile_volume world;
    std::uint64_t  refused = 0, harmless = 0;
    const auto     end = region_slot_offset(world.slots() + 1);
    for (std::size_t offset = 0; offset < end; ++offset) {
        for (const unsigned flip : {0x01U, 0x80U, 0xFFU}) {
            const std::byte changed[] = {world.byte_at(offset) ^ static_cast<std::byte>(flip)};
            auto            opened    = world.open_with(offset, changed);
            if (!opened) {
                const auto code = opened.error().code;
                EXPECT_TRUE(code == errc::damaged || code == errc::unsupported || code == errc::checksum_differs)
                    << offset << ": " << said(opened);
                ++refused;
                continue;
            }
            ++harmless;
            use(opened.value());
            static_cast<void>(opened.value().abandon());
            ASSERT_FALSE(testing::Test::HasFailure()) << "byte " << offset << ", bits " << flip;
        }
    }
    EXPECT_GT(refused, 100U);
    EXPECT_GT(harmless, 50U);
    count("hostile images", refused + harmless);
}

TEST(RegionHostile, WhatTheFormatForbidsIsRefused) {
    hostile_volume world;
    const auto     first = world.index_of(logs), second = world.index_of(maps);
    const auto     expect = [&](errc code, const char* what, auto change) {
        auto slot = world.slot(first);
        change(slot);
        EXPECT_EQ(code_of(world.open_with(first, slot)), code) << what;
    };
    const auto other = world.slot(second);
    expect(errc::none, "as it is", [](region_slot&) {});
    expect(errc::none, "pinned", [](region_slot& s) { s.flags = region_flag::pinned; });
    expect(errc::unsupported, "unknown flag", [](region_slot& s) { s.flags = 2; });
    expect(errc::unsupported, "highest flag", [](region_slot& s) { s.flags = 0x80000000U; });
    expect(errc::damaged, "no type", [](region_slot& s) { s.type = 0; });
    expect(errc::damaged, "no blocks", [](region_slot& s) { s.blocks = 0; });
    expect(errc::damaged, "in the frames", [](region_slot& s) { s.start = 79; });
    expect(errc::damaged, "beyond the end", [](region_slot& s) { s.start = shape.blocks - 39; });
    expect(errc::damaged, "far beyond", [](region_slot& s) { s.start = ~std::uint64_t{0}; });
    expect(errc::damaged, "overflows", [](region_slot& s) { s.blocks = ~std::uint64_t{0}; });
    expect(errc::damaged, "on another", [&](region_slot& s) { s.start = std::uint64_t{other.start} + 39; });
    expect(errc::damaged, "same name", [&](region_slot& s) { s.type = other.type; });
    expect(errc::none, "another name", [&](region_slot& s) { s.type = other.type, s.id = 1; });
    for (const auto own : {tag::journal, tag::groups, tag::bitmap, tag::trimmed, tag::checksums, tag::objects}) {
        expect(errc::damaged, "a second one of the engine's", [&](region_slot& s) { s.type = own; });
        auto moved = world.slot(world.index_of(own));
        moved.id   = 7;
        EXPECT_EQ(code_of(world.open_with(world.index_of(own), moved)), errc::damaged);
    }
    auto head  = world.head();
    head.slots = region_slots + 1;
    EXPECT_EQ(code_of(world.open_with(head)), errc::damaged);
    head         = world.head();
    head.version = 2;
    EXPECT_EQ(code_of(world.open_with(head)), errc::unsupported);
    head      = world.head();
    head.next = 100;
    EXPECT_EQ(code_of(world.open_with(head)), errc::unsupported);
}

TEST(RegionHostile, ATypeThatNobodyKnowsIsKeptAndNotLookedInto) {
    hostile_volume world;
    auto           slot = world.slot(world.index_of(logs));
    slot.type           = 0x01020304;
    auto opened         = world.open_with(world.index_of(logs), slot);
    ASHLAR_ASSERT_OK(opened);
    auto&           live = opened.value();
    const region_id name{0x01020304, 0};
    const auto      info = store_regions{live}.find(name);
    ASHLAR_ASSERT_OK(info);
    EXPECT_TRUE(info.value().engine);
    EXPECT_EQ(code_of(store_regions{live}.open(name)), errc::invalid_argument);
    EXPECT_EQ(code_of(store_regions{live}.remove(name)), errc::invalid_argument);
    EXPECT_EQ(findings_of(live), "") << "its blocks are its own";
    auto compacting = compaction<test_blueprint<>>::open(live, {.regions = {.threshold_permille = 1}}).value();
    while (compacting.step().reasons == stop_reason::budget_spent) {}
    EXPECT_EQ(store_regions{live}.find(name).value().place, slot.place());
}

}  // namespace region_hostile_test
}  // namespace ashlar::test
