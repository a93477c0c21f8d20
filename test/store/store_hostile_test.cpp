#include "store_fixture.hpp"

#include <ashlar/format/anchor.hpp>

#include <cstdio>

namespace ashlar::test {
namespace store_hostile_test {

/// A metadata block that is changed and sealed again, as its own checksum would have it.
struct target {
    const char*    name = "";
    block_index    first{};
    block_index    second{};  ///< The other copy of a frame; the same where there is none.
    std::size_t    bytes = 0;
    block_identity identity{};
};

class HostileImage : public testing::TestWithParam<bool> {
  protected:
    HostileImage() : memory_{make_memory(shape_)} {
        format_on(memory_, shape_);
        auto                 live = opened_on(memory_);
        scenario<test_store> runs{21, live.root()};
        for (int i = 0; i < 60; ++i) EXPECT_EQ(runs.step(live).why.code, errc::none);
        const auto large = live.create().value();
        for (std::uint64_t i = 0; i < 90; ++i) ASHLAR_EXPECT_OK(live.write(large, i * 1024, pattern(200, i)));
        ASHLAR_EXPECT_OK(GetParam() ? live.checkpoint() : live.sync());
        auto& volume = live.volume();
        auto  object = load_object(volume, no_transaction, large);
        EXPECT_GT(object.value().map.height, 1U);
        const auto node = block_identity{tag::node, large.value, object.value().map.root_node};
        const auto home = [&](std::uint64_t number) { return frame_home(number, {512}); };
        targets_        = {
                   {"superblock", home(frame::superblock), home(frame::superblock_mirror), 4096, superblock_identity},
                   {"directory", home(frame::directory), home(frame::directory_mirror), 4096, directory_identity},
                   {"pointers", home(frame::pointers), home(frame::pointers_mirror), 4096, pointers_identity},
                   {"anchor", home(frame::anchor), home(frame::anchor_mirror), anchor_bytes, anchor_identity},
                   {"group table", volume.regions.group_table({0}).home, volume.regions.group_table({0}).home, 512,
                    volume.regions.group_table({0}).identity},
                   {"bitmap", volume.regions.bitmap(0).home, volume.regions.bitmap(0).home, 512,
                    volume.regions.bitmap(0).identity},
                   {"object table", volume.regions.object_block(0, 0).home, volume.regions.object_block(0, 0).home, 512,
                    volume.regions.object_block(0, 0).identity},
                   {"tree node", object.value().map.root, object.value().map.root, 512, node},
        };
        static_cast<void>(live.abandon());
        base_.assign(memory_.bytes().begin(), memory_.bytes().end());
    }

    [[nodiscard]] std::span<std::byte> at(block_index block, std::size_t bytes) {
        return memory_.bytes().subspan(static_cast<std::size_t>(byte_offset(block, {512})), bytes);
    }

    void seal(const target& t, std::span<std::byte> block) {
        seal_block(block, t.identity.tag, {}, identity_seed(shape_.format().volume, t.identity));
    }

    /// Everything that a store can be asked, whatever it says; the calls end, and nothing breaks.
    void use() {
        if (auto seen = test_store::open_read_only(any_device{memory_}, with())) {
            static_cast<void>(digest_on(seen.value()));
            static_cast<void>(findings_of(seen.value()));
            ++opened_;
        }
        auto opened = test_store::open(any_device{memory_}, with());
        if (!opened) {
            ++refused_;
            return;
        }
        ++opened_;
        auto& live = opened.value();
        static_cast<void>(digest_on(live));
        if (findings_of(live).empty()) ++unnoticed_;
        static_cast<void>(live.append(live.root(), pattern(700, 1)));
        const auto made = live.create();
        if (made) { static_cast<void>(live.write(made.value(), 900, pattern(300, 2))); }
        object_id id{};
        for (int i = 0; i < 40; ++i) {
            const auto next = live.next_object(id);
            if (!next || !next.value()) break;
            id = *next.value();
            static_cast<void>(live.write(id, 512, pattern(600, 3)));
            static_cast<void>(live.punch(id, 2000, 5000));
            static_cast<void>(live.truncate(id, 800));
            static_cast<void>(live.reserve(id, 0, 3000));
            static_cast<void>(live.erase(id));
        }
        static_cast<void>(live.maintain());
        static_cast<void>(live.sync());
        static_cast<void>(live.close());
    }

    volume_shape        shape_{};
    memory_device       memory_;
    byte_vector         base_;
    std::vector<target> targets_;
    std::uint64_t       opened_ = 0, refused_ = 0, unnoticed_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Closed, HostileImage, testing::Bool(),
                         [](const auto& chosen) { return chosen.param ? "AtHome" : "InTheJournal"; });

TEST_P(HostileImage, EachByteOfTheMetadataMayLieUnderAValidChecksum) {
    const auto variants = scaled(2);
    for (const auto& t : targets_) {
        opened_ = refused_ = unnoticed_ = 0;
        random_bits random{t.first.value + 1};
        for (std::size_t byte = 0; byte < t.bytes - trailer_bytes; byte += byte < 512 ? 1 : 23) {
            for (std::uint64_t variant = 0; variant < variants; ++variant) {
                std::memcpy(memory_.bytes().data(), base_.data(), base_.size());
                const auto value = variant == 0   ? std::byte{0xFF}
                                   : variant == 1 ? std::byte{1}
                                                  : static_cast<std::byte>(1 + random.below(255));
                for (const auto home : {t.first, t.second}) {
                    const auto block = at(home, t.bytes);
                    block[byte] ^= value;
                    seal(t, block);
                    if (t.first == t.second) break;
                }
                use();
            }
        }
        std::printf("%s: %llu opened, %llu refused, %llu harmless\n", t.name, static_cast<unsigned long long>(opened_),
                    static_cast<unsigned long long>(refused_), static_cast<unsigned long long>(unnoticed_));
        EXPECT_GT(opened_ + refused_, 0U);
    }
}

TEST_P(HostileImage, EachByteOfTheMetadataIsProvedByItsChecksum) {
    for (const auto& t : targets_) {
        if (t.first != t.second) continue;  // the other copy of a frame stands in
        for (std::size_t byte = 0; byte < t.bytes; ++byte) {
            std::memcpy(memory_.bytes().data(), base_.data(), base_.size());
            at(t.first, t.bytes)[byte] ^= std::byte{0x10};
            auto opened = test_store::open(any_device{memory_}, with());
            if (!opened) continue;
            const bool whole = findings_of(opened.value()).empty();
            EXPECT_TRUE(!GetParam() || !whole) << t.name << " byte " << byte << ": nobody noticed";
            use();
        }
    }
}

TEST_P(HostileImage, SeveralLiesAtOnceAreAnsweredToo) {
    random_bits random{99};
    for (std::uint64_t i = 0; i < scaled(1500); ++i) {
        std::memcpy(memory_.bytes().data(), base_.data(), base_.size());
        for (std::uint64_t k = 0; k < 1 + random.below(4); ++k) {
            const auto& t     = targets_[random.below(targets_.size())];
            const auto  limit = t.bytes > 512 && random.below(3) != 0 ? 512 : t.bytes - trailer_bytes;
            const auto  byte  = random.below(limit);
            const auto  value = random.next();
            const auto width = std::min<std::size_t>(std::size_t{1} << random.below(4), t.bytes - trailer_bytes - byte);
            for (const auto home : {t.first, t.second}) {
                const auto block = at(home, t.bytes);
                std::memcpy(block.data() + byte, &value, width);
                seal(t, block);
            }
        }
        use();
    }
}

}  // namespace store_hostile_test
}  // namespace ashlar::test
