// What opening does with a journal that somebody else wrote: whole and sealed, and with whatever is in it.

#include "../store/store_fixture.hpp"

#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/checksum/xxh64_checksum.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace recovery_test {

struct forged_entry {
    block_index   target{};
    std::uint32_t offset = 0;
    byte_vector   bytes;
};
struct listed_block {
    block_index   block{};
    std::uint64_t checksum = 0;
};

/// What a journal is told of listed data while a forger opens it: there is none.
struct no_data {
    result<bool> matches(block_index, std::uint64_t) noexcept { return true; }
    result<>     repeat(block_index) noexcept { return success(); }
};

struct bare : test_blueprint<no_checksum, inline_map> {
    using allocator = bitmap_allocator;
};
struct threaded : test_blueprint<> {
    using threading = multi_threaded;
};
using stores = testing::Types<test_store, store<bare>, store<threaded>>;

template <class Store>
class RecoveryOn : public testing::Test {
  protected:
    using sums = typename Store::volume_type::checksum_type;

    explicit RecoveryOn(volume_shape shape = {})
        : shape_{shape}, size_{shape.block_bytes}, memory_{make_memory(shape)} {
        format_on<Store>(memory_, shape_);
        auto live = opened_on<Store>(memory_);
        root_     = live.root();
        ASHLAR_EXPECT_OK(live.write(root_, 0, pattern(3000, 1)));
        ASHLAR_EXPECT_OK(live.trim({100}));
        ASHLAR_EXPECT_OK(live.checkpoint());
        state_[root_.value] = pattern(3000, 1);
        groups_             = live.volume().regions.group_table({0}).home;
        bitmap_             = live.volume().regions.bitmap(0).home;
        objects_            = live.volume().regions.object_block(0, 0).home;
        free_               = first_free(live);
        ASHLAR_EXPECT_OK(live.close());
        keep();
    }

    /// Blocks behind everything that is in use.
    static block_index first_free(Store& live) {
        block_index last{};
        for (const auto& run : live.free_runs()) last = run.first;
        return last;
    }
    void keep() { base_.assign(memory_.bytes().begin(), memory_.bytes().end()); }
    void restore() { std::memcpy(memory_.bytes().data(), base_.data(), base_.size()); }

    [[nodiscard]] std::span<std::byte> bytes_at(block_index block, std::size_t bytes) {
        return memory_.bytes().subspan(static_cast<std::size_t>(byte_offset(block, size_)), bytes);
    }
    [[nodiscard]] block_index frame(std::uint64_t number) const { return frame_home(number, size_); }

    /// Changes bytes of the superblock, and seals both copies.
    void change_superblock(std::size_t offset, std::uint64_t value, std::size_t bytes) {
        for (const auto number : {frame::superblock, frame::superblock_mirror}) {
            const auto content = bytes_at(frame(number), frame_content_bytes);
            for (std::size_t i = 0; i < bytes; ++i) content[offset + i] = static_cast<std::byte>(value >> (8 * i));
            seal_block(content, tag::superblock, {}, identity_seed({}, superblock_identity));
        }
    }

    /// Puts one batch behind what the journal holds. Nothing says that it was acknowledged.
    void log(const std::vector<forged_entry>& entries, const std::vector<listed_block>& data = {}) {
        const auto          super = load_struct<superblock>(bytes_at({}, sizeof(superblock)));
        const journal_place place{{block_index{super.journal_first}, block_count{super.journal_blocks}},
                                  frame(frame::anchor),
                                  frame(frame::anchor_mirror),
                                  frame_bytes_of(size_),
                                  shape_.format().volume};
        byte_vector         staging(ring_journal::staging_bytes(size_));
        ring_journal        journal;
        no_data             none;
        ASHLAR_ASSERT_OK(journal.attach(place, size_, staging));
        ASHLAR_ASSERT_OK(journal.recover(memory_, none, false));
        batch_shape shape;
        for (const auto& one : entries) shape.entry_bytes += one.bytes.size();
        shape.entries = static_cast<std::uint32_t>(entries.size());
        shape.data    = static_cast<std::uint32_t>(data.size());
        ASHLAR_ASSERT_OK(journal.begin(memory_, shape));
        for (const auto& one : data) ASHLAR_ASSERT_OK(journal.data(memory_, one.block, one.checksum));
        for (const auto& one : entries) ASHLAR_ASSERT_OK(journal.entry(memory_, one.target, one.offset, one.bytes));
        ASHLAR_ASSERT_OK(journal.seal(memory_));
    }

    /// A whole tree node: it says in its first words whose it is, and its trailer is seeded with that.
    [[nodiscard]] byte_vector node_of(std::uint64_t seed) const {
        byte_vector node = pattern(size_.bytes, seed);
        const auto  who  = block_identity{tag::node, load_little<std::uint64_t>(node.data()),
                                        load_little<std::uint64_t>(node.data() + 8)};
        seal_block(node, tag::node, {7}, identity_seed(shape_.format().volume, who));
        return node;
    }

    void expect_refused(error expected, const std::string& why) {
        const auto opened = Store::open(any_device{memory_}, with<Store>());
        ASSERT_TRUE(opened.has_error()) << why;
        EXPECT_EQ(opened.error(), expected) << why << ": " << said(opened);
    }
    void expect_refused_both_ways(error expected, const std::string& why) {
        const auto seen = Store::open_read_only(any_device{memory_}, with<Store>());
        ASSERT_TRUE(seen.has_error()) << why;
        EXPECT_EQ(seen.error(), expected) << why << ", read only: " << said(seen);
        expect_refused(expected, why);
    }
    void expect_whole() {
        auto live = opened_on<Store>(memory_);
        EXPECT_EQ(difference(live, state_), "");
        EXPECT_EQ(findings_of(live), "");
        static_cast<void>(live.abandon());
    }

    volume_shape  shape_;
    block_size    size_;
    memory_device memory_;
    byte_vector   base_;
    model_state   state_;
    object_id     root_{};
    block_index   groups_{}, bitmap_{}, objects_{}, free_{};
};

template <class Store>
class Recovery : public RecoveryOn<Store> {};
TYPED_TEST_SUITE(Recovery, stores);

template <class Store>
class RecoveryOfLargeBlocks : public RecoveryOn<Store> {
  protected:
    RecoveryOfLargeBlocks() : RecoveryOn<Store>{{.block_bytes = 16'384, .blocks = 500, .journal_blocks = 40}} {}
};
TYPED_TEST_SUITE(RecoveryOfLargeBlocks, stores);

// Entries that no engine writes.
// ----------------------------------------------------------------------------------------------------------------

TYPED_TEST(Recovery, AnEntryThatNoBlockCanHaveIsDamage) {
    const forged_entry lies[] = {
        {this->frame(frame::anchor), 0, byte_vector(16)},
        {this->frame(frame::anchor_mirror), 0, byte_vector(16)},
        {this->frame(frame::superblock_mirror), 0, byte_vector(16)},
        {this->frame(frame::superblock) + block_count{1}, 0, byte_vector(16)},
        {this->frame(frame::directory_mirror), 0, byte_vector(16)},
        {{this->shape_.blocks}, 0, byte_vector(16)},
        {{~std::uint64_t{0} - 5}, 0, byte_vector(16)},
        {this->free_, 513, byte_vector(8)},
        {this->free_, 512, byte_vector(8)},
        {this->free_, 500, byte_vector(13)},
        {this->free_, 0, byte_vector(513)},
    };
    for (const auto& lie : lies) {
        this->restore();
        this->log({{this->free_, 0, pattern(16, 1)}, lie});
        const auto why = "block " + std::to_string(lie.target.value) + ", offset " + std::to_string(lie.offset) +
                         ", bytes " + std::to_string(lie.bytes.size());
        this->expect_refused_both_ways({errc::damaged, lie.target}, why);
    }
}

TYPED_TEST(RecoveryOfLargeBlocks, AnEntryBehindTheContentOfAFrameIsDamage) {
    const forged_entry lies[] = {{this->frame(frame::superblock), 4097, byte_vector(8)},
                                 {this->frame(frame::directory), 4090, byte_vector(8)},
                                 {this->free_, 16'380, byte_vector(4)}};
    for (const auto& lie : lies) {
        this->restore();
        this->log({lie});
        if (lie.target == this->free_) {
            this->expect_whole();  // all of a block may be changed
        } else {
            this->expect_refused_both_ways({errc::damaged, lie.target}, std::to_string(lie.offset));
        }
    }
}

TYPED_TEST(Recovery, WhatReplayLeavesMustFitItsTrailer) {
    const auto trailer = this->size_.bytes - static_cast<std::uint32_t>(trailer_bytes);
    for (const auto target : {this->groups_, this->bitmap_, this->objects_, this->free_}) {
        this->restore();
        this->log({{target, 8, pattern(8, 3)}, {target, trailer, pattern(trailer_bytes, 4)}});
        this->expect_refused({errc::damaged, target}, "block " + std::to_string(target.value));
    }
    // Bytes of that length elsewhere, and shorter ones there, are no trailer.
    this->restore();
    this->log({{this->free_, trailer - 16, pattern(trailer_bytes, 4)}, {this->free_, trailer + 8, pattern(8, 4)}});
    this->expect_whole();
}

TYPED_TEST(Recovery, WhatIsInNoRegionProvesItselfByItsOwnerAndKey) {
    const byte_vector node    = this->node_of(9);
    const auto        trailer = this->size_.bytes - trailer_bytes;
    this->log({{this->free_, 0, {node.begin(), node.end() - trailer_bytes}},
               {this->free_, static_cast<std::uint32_t>(trailer), {node.end() - trailer_bytes, node.end()}}});
    this->expect_whole();
    const auto home = this->bytes_at(this->free_, this->size_.bytes);
    EXPECT_TRUE(std::equal(node.begin(), node.end(), home.begin())) << "it is at home";
}

TYPED_TEST(Recovery, AFrameThatReplayLeavesTornIsDamage) {
    for (const auto number : {frame::superblock, frame::pointers, frame::directory}) {
        this->restore();
        this->log({{this->frame(number), 64, pattern(16, number)}});
        this->expect_refused_both_ways({errc::damaged, this->frame(number)}, "frame " + std::to_string(number));
    }
}

TYPED_TEST(Recovery, ChangedFramesGoHomeInBothCopiesAndAreSeenReadOnly) {
    // The first copy of each is lost on top of it: the journal holds all that it needs.
    const std::pair<std::uint64_t, std::uint64_t> pairs[] = {{frame::superblock, frame::superblock_mirror},
                                                             {frame::pointers, frame::pointers_mirror},
                                                             {frame::directory, frame::directory_mirror}};
    const block_identity      identities[] = {superblock_identity, pointers_identity, directory_identity};
    std::vector<forged_entry> entries;
    for (std::size_t i = 0; i < 3; ++i) {
        const auto  home = this->bytes_at(this->frame(pairs[i].first), frame_content_bytes);
        byte_vector content(home.begin(), home.end());
        if (i == 0) store_little<std::uint64_t>(content.data() + offsetof(superblock, created), 77);
        seal_block(content, identities[i].tag, {5},
                   identity_seed(i == 0 ? volume_id{} : this->shape_.format().volume, identities[i]));
        entries.push_back({this->frame(pairs[i].first), 0, content});
    }
    this->log(entries);
    {
        auto seen = TypeParam::open_read_only(any_device{this->memory_}, with<TypeParam>());
        ASHLAR_ASSERT_OK(seen);
        EXPECT_EQ(difference(seen.value(), this->state_), "");
        const auto super = load_struct<superblock>(seen.value().volume().cache.bytes(0));
        EXPECT_EQ(std::uint64_t{super.created}, 77U);
    }
    const auto logged = byte_vector(this->memory_.bytes().begin(), this->memory_.bytes().end());
    this->expect_whole();
    for (const auto& [first, mirror] : pairs) {
        const auto a = this->bytes_at(this->frame(first), frame_content_bytes);
        const auto b = this->bytes_at(this->frame(mirror), frame_content_bytes);
        EXPECT_TRUE(std::equal(a.begin(), a.end(), b.begin())) << "frame " << first;
    }
    EXPECT_EQ(std::uint64_t{load_struct<superblock>(this->bytes_at({}, sizeof(superblock))).created}, 77U);
    // Where home lost the directory altogether it comes back from the journal.
    std::memcpy(this->memory_.bytes().data(), logged.data(), logged.size());
    for (const auto number : {frame::directory, frame::directory_mirror})
        std::memset(this->bytes_at(this->frame(number), frame_content_bytes).data(), 0, frame_content_bytes);
    this->expect_whole();
}

// Listed data.
// ----------------------------------------------------------------------------------------------------------------

TYPED_TEST(Recovery, AListedBlockOutsideOfTheVolumeIsDamageAndTheRestIsReadable) {
    for (const std::uint64_t block : {this->shape_.blocks, ~std::uint64_t{0}}) {
        this->restore();
        this->log({{this->free_, 0, pattern(16, 1)}}, {{{block}, 5}});
        this->expect_refused({errc::damaged, {block}}, std::to_string(block));
        auto seen = TypeParam::open_read_only(any_device{this->memory_}, with<TypeParam>());
        ASHLAR_ASSERT_OK(seen);
        EXPECT_EQ(seen.value().recovered().damage, (error{errc::damaged, {block}}));
        EXPECT_EQ(difference(seen.value(), this->state_), "");
        EXPECT_EQ(code_of(seen.value().sync()), errc::read_only);
    }
}

TYPED_TEST(Recovery, ABatchWhoseDataIsNotThereIsCut) {
    const auto sum = TestFixture::sums::of(this->bytes_at(this->free_, this->size_.bytes));
    this->log({{this->groups_, 0, byte_vector(64, std::byte{0xFF})}}, {{this->free_, sum}, {this->free_, sum + 1}});
    auto live = opened_on<TypeParam>(this->memory_);
    EXPECT_EQ(live.recovered().batches_cut, 1U);
    EXPECT_EQ(difference(live, this->state_), "");
    EXPECT_EQ(findings_of(live), "") << "nothing of the batch is applied";
}

// More than memory holds.
// ----------------------------------------------------------------------------------------------------------------

template <class Store>
class RecoveryOfMuch : public RecoveryOn<Store> {
  protected:
    static constexpr std::uint64_t changed_ = 130;  // blocks; the cache holds 96, or less
    static constexpr std::uint64_t nodes_   = 3;

    RecoveryOfMuch() {
        std::vector<forged_entry> entries;
        for (std::uint64_t i = changed_; i < changed_ + nodes_; ++i) {  // judged by their trailers when all are home
            const auto node = this->node_of(i);
            entries.push_back({this->free_ + block_count{i}, 0, {node.begin(), node.end() - trailer_bytes}});
            entries.push_back({this->free_ + block_count{i},
                               this->size_.bytes - static_cast<std::uint32_t>(trailer_bytes),
                               {node.end() - trailer_bytes, node.end()}});
        }
        for (std::uint64_t i = 0; i < changed_; ++i)
            entries.push_back({this->free_ + block_count{i}, static_cast<std::uint32_t>(i % 400), pattern(16, i)});
        this->log(entries);
        this->keep();
    }
    /// Some of everything; what fails is not in `state`.
    template <class Device>
    void use(Store& live, model_state& state, Device& device, bool large, const std::string& why) {
        auto&      root = state[this->root_.value];
        const auto tell = [&](const auto& done) {
            if (!done && done.error().code != errc::too_many_extents) {
                EXPECT_GT(device.failures(), 0U) << said(done) << why;
            }
            return done.has_value();
        };
        for (std::uint64_t i = 0; i < 3; ++i) {
            const auto bytes = pattern(300 + 500 * i, i);
            if (tell(live.write(this->root_, i * 400, bytes))) model_write(root, i * 400, bytes);
            tell(live.trim({200}));
            tell(live.sync());
        }
        tell(live.maintain());
        for (int i = 0; i < 44 && large; ++i) {  // a batch that the journal's memory does not hold as a whole
            const auto made = live.create();
            if (tell(made)) state[made.value().value] = {};
        }
        tell(live.checkpoint());
    }
    void expect_all_home(const std::string& why) {
        for (std::uint64_t i = 0; i < this->changed_; ++i) {
            const auto block = this->bytes_at(this->free_ + block_count{i}, this->size_.bytes);
            const auto meant = pattern(16, i);
            ASSERT_TRUE(std::equal(meant.begin(), meant.end(), block.begin() + static_cast<std::ptrdiff_t>(i % 400)))
                << "block " << i << why;
        }
    }
};

TYPED_TEST_SUITE(RecoveryOfMuch, stores);

TYPED_TEST(RecoveryOfMuch, BlocksGoHomeEarlyWhereTheCacheIsFull) {
    this->expect_whole();
    this->expect_all_home("");
}

TYPED_TEST(RecoveryOfMuch, EachTransferMayFailAndOpeningAgainEndsIt) {
    auto few          = small_limits();  // so few that most of what is looked at is read again
    few.cache_blocks  = 24;
    few.journal_bytes = 0;
    for (const auto kind : {transfer_kind::read, transfer_kind::write, transfer_kind::sync}) {
        for (const bool read_only : {false, true}) {
            if (read_only && kind != transfer_kind::read) continue;
            for (const auto lasts : {fault_lasts::once, fault_lasts::for_good}) {
                const bool    large   = kind == transfer_kind::write && lasts == fault_lasts::once;
                std::uint64_t refused = 0;
                for (std::uint64_t nth = 1;; ++nth) {
                    this->restore();
                    faulty_device<memory_device> device{this->memory_};
                    device.fail(kind, nth, lasts);
                    auto       state  = this->state_;
                    auto       opened = read_only ? TypeParam::open_read_only(any_device{device}, with<TypeParam>(few))
                                                  : TypeParam::open(any_device{device}, with<TypeParam>(few));
                    const bool early  = device.failures() != 0;
                    const auto why    = " with call " + std::to_string(nth);
                    if (opened) {
                        if (!read_only && !early) this->use(opened.value(), state, device, large, why);
                        device.heal();
                        EXPECT_EQ(difference(opened.value(), state), "") << why;
                        static_cast<void>(opened.value().abandon());
                    } else {
                        ++refused;
                        EXPECT_TRUE(early) << why;
                        EXPECT_EQ(opened.error().code, errc::device_failed) << why;
                    }
                    const bool met = device.failures() != 0;
                    device.heal();
                    auto live = opened_on<TypeParam>(this->memory_);
                    EXPECT_EQ(findings_of(live), "") << why;
                    if (early || !met) { EXPECT_EQ(difference(live, state), "") << why; }
                    static_cast<void>(live.abandon());
                    if (early || read_only) this->expect_all_home(why);  // else the free blocks were used
                    if (!met || this->HasFailure()) break;
                }
                EXPECT_TRUE(refused > 0 || (kind == transfer_kind::read && lasts == fault_lasts::once))
                    << "a read that fails once is repeated; nothing else is";
            }
        }
    }
}

TYPED_TEST(Recovery, ACopyOfAFrameThatCannotBeMendedIsLeftAndSaid) {
    for (const auto mirror : {frame::superblock_mirror, frame::pointers_mirror, frame::directory_mirror})
        std::memset(this->bytes_at(this->frame(mirror), frame_content_bytes).data(), 0, frame_content_bytes);
    this->keep();
    std::uint64_t left = 0, refused = 0;
    for (const auto kind : {transfer_kind::write, transfer_kind::sync}) {
        for (std::uint64_t nth = 1;; ++nth) {
            this->restore();
            faulty_device<memory_device> device{this->memory_};
            device.fail(kind, nth);
            auto opened = TypeParam::open(any_device{device}, with<TypeParam>());
            if (device.failures() == 0) break;
            if (opened) {
                const auto& seen = opened.value().recovered();
                EXPECT_NE(seen.bad_frames, seen.mended_frames) << "write " << nth;
                EXPECT_NE(findings_of(opened.value()), "") << "verify says so";
                EXPECT_EQ(difference(opened.value(), this->state_), "");
                static_cast<void>(opened.value().abandon());
                ++left;
            } else {
                EXPECT_EQ(code_of(opened), errc::device_failed);
                ++refused;
            }
            this->expect_whole();
        }
    }
    EXPECT_EQ(left, 3U) << "each of the copies";
    EXPECT_GE(refused, 3U) << "a failed sync says nothing about what it left";
}

TYPED_TEST(RecoveryOfMuch, WhatDidNotArriveAtHomeIsNoticedBeforeTheJournalForgetsIt) {
    std::uint64_t noticed = 0;
    for (std::uint64_t nth = 1;; ++nth) {
        this->restore();
        faulty_device<memory_device> device{this->memory_};
        const auto                   before = device.calls(transfer_kind::write);
        device.lose_write(nth);
        const auto opened = TypeParam::open(any_device{device}, with<TypeParam>());
        const auto writes = device.calls(transfer_kind::write) - before;
        if (!opened) {
            EXPECT_EQ(code_of(opened), errc::checksum_differs) << "write " << nth;
            ++noticed;
            this->expect_whole();
            this->expect_all_home(" after write " + std::to_string(nth));
        }
        if (writes < nth || this->HasFailure()) break;
    }
    EXPECT_GT(noticed, 0U);
}

// What is read again is checked again.
// ----------------------------------------------------------------------------------------------------------------

TYPED_TEST(Recovery, AReadOnlyStoreChecksTheRingEachTimeThatItReadsIt) {
    const auto ring = [&] {
        const auto super = load_struct<superblock>(this->bytes_at({}, sizeof(superblock)));
        return this->bytes_at({super.journal_first},
                              static_cast<std::size_t>(super.journal_blocks) * this->size_.bytes);
    };
    this->log({{this->objects_, 0, byte_vector(8)}, {this->objects_, 600, byte_vector(8)}});
    const byte_vector beyond(ring().begin(), ring().end());
    this->restore();
    this->log({{this->objects_, 0, byte_vector(8)}, {this->objects_, 500, byte_vector(13)}});
    const byte_vector over_the_end(ring().begin(), ring().end());
    this->restore();
    const auto  block = this->bytes_at(this->objects_, this->size_.bytes);
    byte_vector same(block.begin(), block.begin() + 8);
    this->log({{this->free_, 0, byte_vector(8)}, {this->objects_, 0, same}});
    this->keep();
    for (const auto* changed : {&beyond, &over_the_end}) {
        this->restore();
        auto seen = TypeParam::open_read_only(any_device{this->memory_}, with<TypeParam>());
        ASHLAR_ASSERT_OK(seen);
        std::memcpy(ring().data(), changed->data(), changed->size());
        EXPECT_EQ(seen.value().size(this->root_).error(), (error{errc::damaged, this->objects_}));
        this->restore();
        EXPECT_EQ(difference(seen.value(), this->state_), "");
    }
}

// The superblock.
// ----------------------------------------------------------------------------------------------------------------

TYPED_TEST(Recovery, ASuperblockThatContradictsItselfIsRefused) {
    const auto frames = frame_home(frame::count, this->size_).value;
    struct lie {
        std::size_t   offset, bytes;
        std::uint64_t value;
        error         expected;
    };
    const lie lies[] = {
        {offsetof(superblock, version), 4, 2, {errc::unsupported, {2}}},
        {offsetof(superblock, incompatible), 8, 8, {errc::unsupported, {8}}},
        {offsetof(superblock, block_bytes), 4, 1024, {errc::invalid_argument, {1024}}},
        {offsetof(superblock, blocks), 8, this->shape_.blocks + 1, {errc::out_of_range, {this->shape_.blocks + 1}}},
        {offsetof(superblock, blocks), 8, frames, {errc::damaged, {0}}},
        {offsetof(superblock, blocks), 8, 0, {errc::damaged, {0}}},
        {offsetof(superblock, journal_format), 4, 99, {errc::policy_differs, {99}}},
        {offsetof(superblock, checksum_format), 4, 98, {errc::policy_differs, {98}}},
        {offsetof(superblock, object_map_format), 4, 97, {errc::policy_differs, {97}}},
        {offsetof(superblock, record_bytes), 4, 13, {errc::damaged, {0}}},
    };
    for (const auto& one : lies) {
        this->restore();
        this->change_superblock(one.offset, one.value, one.bytes);
        this->expect_refused_both_ways(one.expected, "offset " + std::to_string(one.offset));
    }
}

TYPED_TEST(Recovery, AMirrorOfAnotherFrameSizeIsNone) {
    // A valid superblock lies where the mirror of a volume with 8 KiB frames would: it says that its frames are 4 KiB.
    const auto  home = this->bytes_at({}, frame_content_bytes);
    byte_vector copy(home.begin(), home.end());
    std::memset(home.data(), 0, frame_content_bytes);
    std::memset(this->bytes_at(this->frame(frame::superblock_mirror), frame_content_bytes).data(), 0,
                frame_content_bytes);
    std::memcpy(this->memory_.bytes().data() + frame::superblock_mirror * 8192, copy.data(), copy.size());
    this->expect_refused_both_ways(error{errc::not_a_volume}, "only where it belongs");
}

TYPED_TEST(Recovery, APlaceThatCannotBeReadMayHoldTheSuperblock) {
    faulty_device<memory_device> device{this->memory_};
    const auto                   lost = byte_vector(this->memory_.bytes().begin(), this->memory_.bytes().end());
    std::memset(this->bytes_at({}, frame_content_bytes).data(), 0, frame_content_bytes);
    for (std::uint64_t nth = 1; nth <= 6; ++nth) {  // frame 0 is read once, and the mirrors of five frame sizes follow
        device.fail(transfer_kind::read, nth, fault_lasts::for_good);
        const auto opened = TypeParam::open_read_only(any_device{device}, with<TypeParam>());
        device.heal();
        EXPECT_EQ(code_of(opened), errc::device_failed) << "read " << nth;
    }
    std::memset(this->bytes_at(this->frame(frame::superblock_mirror), frame_content_bytes).data(), 0,
                frame_content_bytes);
    EXPECT_EQ(code_of(TypeParam::open_read_only(any_device{device}, with<TypeParam>())), errc::not_a_volume);
    device.fail(transfer_kind::read, 2, fault_lasts::for_good);
    EXPECT_EQ(code_of(TypeParam::open_read_only(any_device{device}, with<TypeParam>())), errc::device_failed);
}

}  // namespace recovery_test
}  // namespace ashlar::test
