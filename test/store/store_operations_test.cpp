#include "store_fixture.hpp"

#include <ashlar/device/native_device.hpp>

#include <unistd.h>
#include <cctype>
#include <cstdio>
#include <optional>

namespace ashlar::test {
namespace store_operations_test {

/// On what the suite runs.
enum class medium { memory, file, ring };
struct operations_case {
    std::uint32_t block_bytes = 512;
    medium        on          = medium::memory;
};

/// A device whose calls all go through a queue of its own: where the system has io_uring, through the ring.
class through_queue {
  public:
    explicit through_queue(native_device& device) : device_{&device}, queue_{device.open_queue({.depth = 4}).value()} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return device_->geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept {
               return through({.blocks = e, .memory = in.data(), .kind = transfer_kind::read}, in.size());
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        return through({.blocks = e, .memory = const_cast<std::byte*>(out.data()), .kind = transfer_kind::write},
                       out.size());
    }
    [[nodiscard]] result<> sync() noexcept { return through({.kind = transfer_kind::sync}, 0); }
    [[nodiscard]] result<> trim(extent e) noexcept { return through({.blocks = e, .kind = transfer_kind::trim}, 0); }

  private:
    result<> through(transfer t, std::size_t bytes) noexcept {
        transfer* finished[1];
        if (t.memory != nullptr && !transfer_fits(geometry(), t.blocks, bytes))
            return error{errc::out_of_range, t.blocks.first};
        queue_.submit(t);
        BOOST_OUTCOME_TRY(queue_.complete(finished, 1));
        if (t.failure.code != errc::none) return t.failure;
        return success();
    }

    native_device*       device_;
    native_device::queue queue_;
};

/// A file in the current folder that goes with its device; its blocks are written past the page cache where possible.
class file_for_test {
  public:
    explicit file_for_test(const volume_shape& shape) : path_{path()} {
        auto opened = native_device::open(
            path_.c_str(),
            {.block_bytes = shape.block_bytes, .create = true, .bytes = shape.blocks * shape.block_bytes});
        EXPECT_TRUE(opened) << said(opened);
        if (opened) device_.emplace(std::move(opened).value());
    }
    ~file_for_test() { std::remove(path_.c_str()); }
    file_for_test(const file_for_test&)            = delete;
    file_for_test& operator=(const file_for_test&) = delete;

    [[nodiscard]] native_device& device() { return *device_; }
    [[nodiscard]] through_queue& ring() { return ring_ ? *ring_ : ring_.emplace(*device_); }

  private:
    static std::string path() {
        std::string name = "store_" + std::to_string(::getpid()) + '_' +
                           testing::UnitTest::GetInstance()->current_test_info()->name() + ".ash";
        for (auto& letter : name)
            letter = std::isalnum(static_cast<unsigned char>(letter)) != 0 || letter == '.' ? letter : '_';
        return name;
    }

    std::string                  path_;
    std::optional<native_device> device_;
    std::optional<through_queue> ring_;
};

/// A volume with an open store; what a test wrote must read the same after a checkpoint, a lap of the ring and a
/// reopen.
class StoreOperations : public testing::TestWithParam<operations_case> {
  protected:
    StoreOperations()
        : shape_{.block_bytes    = GetParam().block_bytes,
                 .blocks         = GetParam().block_bytes == 65'536 ? 400U : 1600U,
                 .journal_blocks = GetParam().block_bytes == 512 ? 96U : 64U} {
        if (GetParam().on == medium::memory) {
            memory_.emplace(make_memory(shape_));
            base_.emplace(*memory_);
        } else {
            file_.emplace(shape_);
            if (GetParam().on == medium::ring) base_.emplace(file_->ring());
            if (GetParam().on == medium::file) base_.emplace(file_->device());
        }
        checked_.emplace(*base_);
        format_on(*checked_, shape_);
        open();
    }
    ~StoreOperations() override {
        live = {};
        expect_order(*checked_);
        EXPECT_TRUE(checked_->is_watching());
    }
    void open() {
        live  = opened_on(*checked_);
        block = shape_.block_bytes;
        root  = live.root();
    }
    /// Reads everything of an object.
    byte_vector all(object_id id) {
        const auto size = live.size(id);
        ASHLAR_EXPECT_OK(size);
        byte_vector bytes(size ? size.value() : 0, std::byte{0xEE});
        const auto  read = live.read(id, 0, std::span<std::byte>{bytes});
        ASHLAR_EXPECT_OK(read);
        EXPECT_EQ(read ? read.value() : 0, bytes.size());
        return bytes;
    }
    /// Small synced writes until the ring came round.
    void lap() {
        const auto id = live.create();
        ASHLAR_ASSERT_OK(id);
        const auto    before = live.volume().journal.next();
        std::uint64_t used   = 0;
        for (std::uint64_t i = 0; used < 2 * shape_.journal_blocks; ++i) {
            const auto free = live.volume().journal.room();
            ASHLAR_ASSERT_OK(live.put(id.value(), 0, pattern(100, i)));
            const auto left = live.volume().journal.room();
            used += free.value > left.value ? free.value - left.value : 1;
        }
        EXPECT_GT(live.volume().journal.next().value, before.value + 8);
        ASHLAR_ASSERT_OK(live.erase(id.value()));
    }
    /// The object reads as expected now, after a checkpoint, after a lap, after an abandon and after a close.
    void expect_for_good(object_id id, const byte_vector& expected) {
        EXPECT_TRUE(all(id) == expected) << "as written";
        ASHLAR_ASSERT_OK(live.checkpoint());
        EXPECT_TRUE(all(id) == expected) << "after a checkpoint";
        lap();
        ASHLAR_ASSERT_OK(live.sync());
        EXPECT_TRUE(all(id) == expected) << "after a lap";
        static_cast<void>(live.abandon());
        open();
        EXPECT_TRUE(all(id) == expected) << "after a power cut";
        EXPECT_EQ(findings_of(live), "");
        ASHLAR_ASSERT_OK(live.close());
        open();
        EXPECT_TRUE(live.recovered().was_clean);
        EXPECT_TRUE(all(id) == expected) << "after a close";
        EXPECT_EQ(findings_of(live), "");
    }

    volume_shape                             shape_;
    std::optional<memory_device>             memory_;
    std::optional<file_for_test>             file_;
    std::optional<any_device>                base_;
    std::optional<order_checker<any_device>> checked_;
    test_store                               live;
    std::size_t                              block = 0;
    object_id                                root{};
};

std::string name_of(const testing::TestParamInfo<operations_case>& seen) {
    const char* const names[] = {"MemoryOf", "FileOf", "RingOf"};
    return names[static_cast<int>(seen.param.on)] + std::to_string(seen.param.block_bytes);
}
INSTANTIATE_TEST_SUITE_P(Devices, StoreOperations,
                         testing::Values(operations_case{512}, operations_case{4096}, operations_case{65'536},
                                         operations_case{512, medium::file}, operations_case{4096, medium::file},
                                         operations_case{4096, medium::ring}),
                         name_of);

TEST_P(StoreOperations, WritesOfAnyPlaceAndLengthReadBack) {
    byte_vector model;
    random_bits random{5};
    for (std::uint64_t i = 0; i < 40; ++i) {
        const auto offset = random.below(8 * block);
        const auto data   = pattern(static_cast<std::size_t>(1 + random.below(3 * block)), i);
        ASHLAR_ASSERT_OK(live.write(root, offset, data));
        model_write(model, offset, data);
        ASSERT_TRUE(all(root) == model) << i;
    }
    expect_for_good(root, model);
}

TEST_P(StoreOperations, APartOfABlockIsOverwrittenAlone) {
    auto model = pattern(3 * block, 1);
    ASHLAR_ASSERT_OK(live.write(root, 0, model));
    for (const std::size_t at : {std::size_t{0}, std::size_t{1}, block - 1, block, 2 * block + 7}) {
        const auto few = pattern(5, at + 9);
        ASHLAR_ASSERT_OK(live.write(root, at, few));
        model_write(model, at, few);
    }
    expect_for_good(root, model);
}

TEST_P(StoreOperations, AppendAnswersWhereItWroteAndCutsWhatIsTooLong) {
    const auto first = pattern(block + 17, 1);
    const auto large = pattern(static_cast<std::size_t>(live.write_bytes_max()) * 2 + 5, 2);
    EXPECT_EQ(live.append(root, first).value(), 0U);
    EXPECT_EQ(live.append(root, large).value(), first.size());
    EXPECT_EQ(live.append(root, {}).value(), first.size() + large.size()) << "nothing is written, and that at the end";
    byte_vector model = first;
    model.insert(model.end(), large.begin(), large.end());
    expect_for_good(root, model);
}

TEST_P(StoreOperations, AWriteThatIsTooLargeChangesNothing) {
    ASHLAR_ASSERT_OK(live.write(root, 0, pattern(10, 1)));
    EXPECT_EQ(code_of(live.write(root, 0, pattern(static_cast<std::size_t>(live.write_bytes_max()) + 2 * block, 2))),
              errc::too_large);
    EXPECT_EQ(code_of(live.write(root, ~std::uint64_t{0}, pattern(1, 1))), errc::out_of_range);
    EXPECT_EQ(code_of(live.write(root, std::uint64_t{1} << 63U, pattern(1, 1))), errc::out_of_range);
    expect_for_good(root, pattern(10, 1));
}

TEST_P(StoreOperations, WhatIsSkippedReadsAsZerosAndTakesNoBlocks) {
    ASHLAR_ASSERT_OK(live.write(root, 100 * block + 3, pattern(8, 1)));
    byte_vector model;
    model_write(model, 100 * block + 3, pattern(8, 1));
    EXPECT_EQ(live.info(root).value().blocks, 1U);
    expect_for_good(root, model);
}

TEST_P(StoreOperations, BytesBehindTheEndAreZeroAfterTruncateAndGrow) {
    auto model = pattern(4 * block, 1);
    ASHLAR_ASSERT_OK(live.write(root, 0, model));
    for (const std::uint64_t size : {3 * block + 9, 2 * block, block - 1, std::size_t{1}}) {
        ASHLAR_ASSERT_OK(live.truncate(root, size));
        ASHLAR_ASSERT_OK(live.truncate(root, 4 * block + 5));
        model.resize(size);
        model.resize(4 * block + 5);
        ASSERT_TRUE(all(root) == model) << size;
    }
    ASHLAR_ASSERT_OK(live.write(root, 2 * block + 10, pattern(4, 3)));
    model_write(model, 2 * block + 10, pattern(4, 3));
    expect_for_good(root, model);
    ASHLAR_ASSERT_OK(live.truncate(root, 0));
    EXPECT_EQ(live.info(root).value().blocks, 0U);
    EXPECT_EQ(code_of(live.truncate(root, ~std::uint64_t{0})), errc::out_of_range);
}

TEST_P(StoreOperations, PunchMakesZerosAndGivesWholeBlocksBack) {
    auto model = pattern(10 * block, 1);
    ASHLAR_ASSERT_OK(live.write(root, 0, model));
    ASHLAR_ASSERT_OK(live.punch(root, block / 2, 3 * block));
    model_punch(model, block / 2, 3 * block);
    EXPECT_EQ(live.info(root).value().blocks, 8U);
    ASHLAR_ASSERT_OK(live.punch(root, 7 * block + 1, 20));
    model_punch(model, 7 * block + 1, 20);
    ASHLAR_ASSERT_OK(live.punch(root, 9 * block + 1, ~std::uint64_t{0}));
    model_punch(model, 9 * block + 1, ~std::uint64_t{0});
    ASHLAR_ASSERT_OK(live.punch(root, 100 * block, 5));
    EXPECT_EQ(live.size(root).value(), 10 * block);
    expect_for_good(root, model);
}

TEST_P(StoreOperations, ReservedBlocksReadAsZerosAndAreWrittenInPlace) {
    ASHLAR_ASSERT_OK(live.write(root, 0, pattern(block + 3, 1)));
    ASHLAR_ASSERT_OK(live.reserve(root, 0, 8 * block));
    EXPECT_EQ(live.size(root).value(), block + 3) << "the size stays";
    EXPECT_EQ(live.info(root).value().blocks, 8U);
    byte_vector model = pattern(block + 3, 1);
    const auto  place = live.next_extent(root, {5}).value()->physical.first +
                       block_count{(logical_block{5} - live.next_extent(root, {5}).value()->logical).value};
    ASHLAR_ASSERT_OK(live.write(root, 5 * block, pattern(block, 2)));
    model_write(model, 5 * block, pattern(block, 2));
    EXPECT_EQ(live.next_extent(root, {5}).value()->physical.first, place) << "the reserved block was used";
    EXPECT_EQ(live.info(root).value().blocks, 8U);
    expect_for_good(root, model);
    EXPECT_EQ(live.info(root).value().blocks, 8U);
}

TEST_P(StoreOperations, SpaceReservedBehindTheEndOfAShrunkObjectStays) {
    for (std::uint64_t i = 0; i < 60; ++i) ASHLAR_ASSERT_OK(live.write(root, 2 * i * block, pattern(block, i)));
    ASHLAR_ASSERT_OK(live.truncate(root, block));
    ASHLAR_ASSERT_OK(live.reserve(root, 10 * block, 5 * block));
    ASHLAR_ASSERT_OK(live.maintain());
    const auto other = live.create();
    ASHLAR_ASSERT_OK(live.erase(other.value()));
    EXPECT_EQ(live.info(root).value().blocks, 6U);
    expect_for_good(root, pattern(block, 0));
    EXPECT_EQ(live.info(root).value().blocks, 6U);
}

TEST_P(StoreOperations, PinnedExtentsRefuseEverythingThatWouldMoveThem) {
    const auto data = pattern(6 * block, 1);
    ASHLAR_ASSERT_OK(live.write(root, 0, data));
    ASHLAR_ASSERT_OK(live.pin(root, 2 * block, block));
    EXPECT_EQ(code_of(live.write(root, 2 * block + 1, pattern(1, 1))), errc::pinned);
    EXPECT_EQ(code_of(live.write(root, 0, data)), errc::pinned);
    EXPECT_EQ(code_of(live.truncate(root, 2 * block + 9)), errc::pinned);
    EXPECT_EQ(code_of(live.truncate(root, 0)), errc::pinned);
    EXPECT_EQ(code_of(live.punch(root, 2 * block + 9, 3)), errc::pinned);
    EXPECT_EQ(code_of(live.punch(root, 0, 6 * block)), errc::pinned);
    expect_for_good(root, data);
    EXPECT_EQ(code_of(live.write(root, 2 * block, pattern(1, 1))), errc::pinned) << "a pin is durable";
    ASHLAR_ASSERT_OK(live.unpin(root, 0, 6 * block));
    ASHLAR_ASSERT_OK(live.truncate(root, 0));
    EXPECT_EQ(findings_of(live), "");
}

TEST_P(StoreOperations, AttributesAndSizeAreKept) {
    std::array<std::byte, attribute_bytes> marks{};
    for (std::size_t i = 0; i < marks.size(); ++i) marks[i] = static_cast<std::byte>(i + 1);
    ASHLAR_ASSERT_OK(live.set_attributes(root, marks));
    ASHLAR_ASSERT_OK(live.truncate(root, 12'345));
    expect_for_good(root, byte_vector(12'345));
    EXPECT_EQ(live.info(root).value().attributes, marks);
    EXPECT_EQ(live.info(root).value().blocks, 0U);
}

TEST_P(StoreOperations, VectoredReadsFillTheirPiecesInOrder) {
    const auto data = pattern(4 * block + 11, 1);
    ASHLAR_ASSERT_OK(live.write(root, 0, data));
    byte_vector                               a(block + 5), b(3), c(5 * block);
    const std::array<std::span<std::byte>, 3> pieces{a, b, c};
    const auto                                read = live.read(root, 7, pieces);
    ASHLAR_ASSERT_OK(read);
    EXPECT_EQ(read.value(), data.size() - 7) << "the end of the object ends it";
    EXPECT_TRUE(std::equal(a.begin(), a.end(), data.begin() + 7));
    EXPECT_TRUE(std::equal(b.begin(), b.end(), data.begin() + 7 + static_cast<std::ptrdiff_t>(a.size())));
    const auto rest = data.size() - 7 - a.size() - b.size();
    EXPECT_TRUE(std::equal(c.begin(), c.begin() + static_cast<std::ptrdiff_t>(rest),
                           data.end() - static_cast<std::ptrdiff_t>(rest)));
    EXPECT_EQ(live.read(root, data.size() + 100, std::span<std::byte>{a}).value(), 0U) << "behind the end is nothing";
}

TEST_P(StoreOperations, ObjectsAreListedInOrderAndExtentsToo) {
    std::vector<std::uint64_t> made{root.value};
    for (int i = 0; i < 30; ++i) made.push_back(live.create().value().value);
    ASHLAR_ASSERT_OK(live.erase(object_id{made[4]}));
    made.erase(made.begin() + 4);
    std::vector<std::uint64_t> seen;
    for (object_id at{};;) {
        const auto next = live.next_object(at);
        ASHLAR_ASSERT_OK(next);
        if (!next.value()) break;
        at = *next.value();
        seen.push_back(at.value);
    }
    std::sort(made.begin(), made.end());
    EXPECT_EQ(seen, made);

    for (std::uint64_t i = 0; i < 20; ++i) ASHLAR_ASSERT_OK(live.write(root, 3 * i * block, pattern(block, i)));
    logical_block from{};
    for (std::uint64_t i = 0; i < 20; ++i) {
        const auto found = live.next_extent(root, from);
        ASHLAR_ASSERT_OK(found);
        ASSERT_TRUE(found.value());
        EXPECT_EQ(found.value()->logical.value, 3 * i);
        EXPECT_EQ(found.value()->physical.count.value, 1U);
        from = found.value()->logical + block_count{1};
    }
    EXPECT_FALSE(live.next_extent(root, from).value());
}

TEST_P(StoreOperations, AnErasedObjectIsGoneAndItsIdNeverComesBack) {
    std::set<std::uint64_t> ids;
    for (std::uint64_t i = 0; i < 300; ++i) {
        const auto made = live.create();
        ASHLAR_ASSERT_OK(made);
        ASSERT_TRUE(ids.insert(made.value().value).second) << "id " << made.value().value << " came twice";
        ASHLAR_ASSERT_OK(live.write(made.value(), 0, pattern(10, i)));
        if (i % 3 != 0) {
            ASHLAR_ASSERT_OK(live.erase(made.value()));
            byte_vector few(3);
            EXPECT_EQ(code_of(live.read(made.value(), 0, std::span<std::byte>{few})), errc::not_found);
            EXPECT_EQ(code_of(live.write(made.value(), 0, few)), errc::not_found);
            EXPECT_EQ(code_of(live.erase(made.value())), errc::not_found);
        }
        if (i % 50 == 49) {
            ASHLAR_ASSERT_OK(live.sync());
            static_cast<void>(live.abandon());
            open();
        }
    }
    EXPECT_EQ(live.info().objects, 101U);
    EXPECT_EQ(findings_of(live), "");
}

TEST_P(StoreOperations, TheRootObjectCannotBeErased) {
    EXPECT_EQ(code_of(live.erase(root)), errc::invalid_argument);
    EXPECT_EQ(code_of(live.begin().value().erase(root)), errc::invalid_argument);
    EXPECT_EQ(code_of(live.size(object_id{})), errc::not_found);
    EXPECT_EQ(code_of(live.size(object_id{~std::uint64_t{0}})), errc::not_found);
    EXPECT_EQ(code_of(live.size(object_id{root.value + 1})), errc::not_found);
}

TEST_P(StoreOperations, UnsyncedWorkIsVisibleAndMayBeLost) {
    ASHLAR_ASSERT_OK(live.put(root, 0, pattern(20, 1)));
    ASHLAR_ASSERT_OK(live.write(root, 0, pattern(20, 2)));
    EXPECT_TRUE(all(root) == pattern(20, 2));
    static_cast<void>(live.abandon());
    open();
    EXPECT_TRUE(all(root) == pattern(20, 1));
}

// Transactions.
// ---------------------------------------------------------------------------------------------------------

TEST_P(StoreOperations, ATransactionIsSeenAsAWholeOrNotAtAll) {
    auto begun = live.begin();
    ASHLAR_ASSERT_OK(begun);
    auto       tx   = std::move(begun).value();
    const auto made = tx.create();
    ASHLAR_ASSERT_OK(made);
    ASHLAR_ASSERT_OK(tx.write(made.value(), 3, pattern(block, 1)));
    ASHLAR_ASSERT_OK(tx.write(made.value(), block / 2, pattern(40, 2)));
    EXPECT_EQ(tx.append(made.value(), pattern(9, 3)).value(), block + 3);
    ASHLAR_ASSERT_OK(tx.write(root, 0, pattern(2 * block, 4)));
    EXPECT_EQ(code_of(live.size(made.value())), errc::not_found);
    EXPECT_EQ(live.size(root).value(), 0U);
    ASHLAR_ASSERT_OK(tx.commit());
    byte_vector model;
    model_write(model, 3, pattern(block, 1));
    model_write(model, block / 2, pattern(40, 2));
    model_write(model, block + 3, pattern(9, 3));
    static_cast<void>(live.abandon());
    open();
    EXPECT_TRUE(all(made.value()) == model) << "commit is durable";
    expect_for_good(root, pattern(2 * block, 4));
}

TEST_P(StoreOperations, ADroppedTransactionLeavesNothing) {
    ASHLAR_ASSERT_OK(live.put(root, 0, pattern(block, 1)));
    const auto free = live.info().free;
    {
        auto tx = live.begin().value();
        ASHLAR_ASSERT_OK(tx.create());
        ASHLAR_ASSERT_OK(tx.write(root, 0, pattern(8 * block, 2)));
        ASHLAR_ASSERT_OK(tx.truncate(root, 5));
    }
    auto aborted = live.begin().value();
    ASHLAR_ASSERT_OK(aborted.write(root, 0, pattern(8 * block, 2)));
    aborted.abort();
    EXPECT_EQ(code_of(aborted.commit()), errc::invalid_argument);
    EXPECT_EQ(live.info().free, free);
    EXPECT_EQ(live.info().objects, 1U);
    expect_for_good(root, pattern(block, 1));
}

TEST_P(StoreOperations, ASecondWriterOfAnObjectIsBusyUntilTheFirstEnds) {
    auto first = live.begin().value();
    ASHLAR_ASSERT_OK(first.write(root, 0, pattern(10, 1)));
    EXPECT_EQ(code_of(live.write(root, 0, pattern(10, 2))), errc::busy);
    EXPECT_EQ(code_of(live.truncate(root, 0)), errc::busy);
    {
        auto second = live.begin().value();
        EXPECT_EQ(code_of(second.write(root, 0, pattern(10, 3))), errc::busy);
        EXPECT_EQ(code_of(second.create()), errc::invalid_argument) << "after an error only dropping it is left";
    }
    ASHLAR_ASSERT_OK(first.commit());
    ASHLAR_ASSERT_OK(live.write(root, 5, pattern(10, 2)));
    byte_vector model = pattern(10, 1);
    model_write(model, 5, pattern(10, 2));
    expect_for_good(root, model);
}

TEST_P(StoreOperations, TwoTransactionsOnDifferentObjectsBothCommit) {
    const auto other = live.create().value();
    auto       a     = live.begin().value();
    auto       b     = live.begin().value();
    ASHLAR_ASSERT_OK(a.write(root, 0, pattern(2 * block, 1)));
    ASHLAR_ASSERT_OK(b.write(other, 0, pattern(2 * block, 2)));
    EXPECT_EQ(code_of(live.begin()), errc::none);
    ASHLAR_ASSERT_OK(b.commit());
    ASHLAR_ASSERT_OK(a.commit());
    EXPECT_TRUE(all(other) == pattern(2 * block, 2));
    expect_for_good(root, pattern(2 * block, 1));
}

TEST_P(StoreOperations, MoreTransactionsThanTheLimitAreBusy) {
    std::vector<test_store::transaction> open_ones;
    for (;;) {
        auto begun = live.begin();
        if (!begun) {
            EXPECT_EQ(begun.error().code, errc::busy);
            break;
        }
        open_ones.push_back(std::move(begun).value());
        ASSERT_LT(open_ones.size(), 10U);
    }
    EXPECT_EQ(open_ones.size(), small_limits().transactions);
    open_ones.pop_back();
    ASHLAR_EXPECT_OK(live.put(root, 0, pattern(3, 1)));
}

TEST_P(StoreOperations, ATransactionThatIsTooLargeSaysSoAndNothingHappens) {
    auto tx = live.begin().value();
    errc why{};
    for (std::uint64_t i = 0; i < 100 && why == errc::none; ++i)
        why = code_of(tx.write(root, 2 * i * block, pattern(block, i)));
    EXPECT_EQ(why, errc::too_large);
    EXPECT_EQ(code_of(tx.commit()), errc::invalid_argument);
    EXPECT_EQ(live.size(root).value(), 0U);
    auto many = live.begin().value();
    why       = errc::none;
    for (std::uint64_t i = 0; i < 100 && why == errc::none; ++i) why = code_of(many.create());
    EXPECT_EQ(why, errc::too_large);
    EXPECT_EQ(live.info().objects, 1U);
    expect_for_good(root, {});
}

TEST_P(StoreOperations, ATransactionThatTruncatedManyExtentsDoesNotBringThemBack) {
    for (std::uint64_t i = 0; i < 70; ++i) ASHLAR_ASSERT_OK(live.write(root, 2 * i * block, pattern(block, i)));
    auto tx = live.begin().value();
    ASHLAR_ASSERT_OK(tx.truncate(root, 1));
    if (tx.truncate(root, 150 * block) && tx.commit()) {
        byte_vector model(150 * block);
        model[0] = pattern(block, 0)[0];
        expect_for_good(root, model);
    } else {
        EXPECT_EQ(live.size(root).value(), 139 * block) << "refused as a whole";
    }
}

TEST_P(StoreOperations, ATransactionCreatesObjectsInAFullTable) {
    for (std::uint64_t i = 0; i < 40; ++i) {
        auto tx = live.begin().value();
        for (int k = 0; k < 4; ++k) ASHLAR_ASSERT_OK(tx.create());
        ASHLAR_ASSERT_OK(tx.commit());
    }
    EXPECT_EQ(live.info().objects, 161U);
    ASHLAR_ASSERT_OK(live.checkpoint());
    static_cast<void>(live.abandon());
    open();
    EXPECT_EQ(live.info().objects, 161U);
    EXPECT_EQ(findings_of(live), "");
}

TEST_P(StoreOperations, ErasingInATransactionFreesTheBlocksLater) {
    const auto free = live.info().free;
    const auto a    = live.create().value();
    const auto b    = live.create().value();
    ASHLAR_ASSERT_OK(live.write(a, 0, pattern(9 * block, 1)));
    ASHLAR_ASSERT_OK(live.write(b, 0, pattern(9 * block, 2)));
    auto tx = live.begin().value();
    ASHLAR_ASSERT_OK(tx.erase(a));
    ASHLAR_ASSERT_OK(tx.erase(b));
    ASHLAR_ASSERT_OK(tx.commit());
    EXPECT_EQ(live.info().objects, 1U);
    static_cast<void>(live.abandon());
    open();
    ASHLAR_ASSERT_OK(live.maintain());
    EXPECT_EQ(live.info().free, free);
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace store_operations_test
}  // namespace ashlar::test
