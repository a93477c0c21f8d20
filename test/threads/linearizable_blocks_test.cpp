// What threads read of blocks that other threads write and the defragmenter moves.

#include "threads_fixture.hpp"

#include <ashlar/testing/linearizability.hpp>

namespace ashlar::test {
namespace linearizable_blocks_test {

constexpr std::size_t   object_count = 4;
constexpr std::uint64_t block_count_ = 8;  ///< Of each object; every block of every object is a register.
constexpr std::size_t   block_bytes  = 512;

std::uint64_t register_of(std::size_t object, std::uint64_t block) { return object * block_count_ + block; }

/// How the registers are reached; the planted fault below overrides it.
struct direct_access {
    threaded_store& store;

    result<std::size_t> read(object_id id, std::uint64_t offset, std::span<std::byte> into) {
        return store.read(id, offset, into);
    }
};

/// Reads and writes of registers from many threads, with every call written down.
template <class Access>
class register_workload {
  public:
    register_workload(threaded_store& on, Access access, std::size_t threads)
        : on_{on}, access_{access}, logs_(threads, operation_log{stamps_}) {
        for (auto& id : objects_) {
            const auto made = on_.create();
            ASHLAR_EXPECT_OK(made);
            id = made.value();
            ASHLAR_EXPECT_OK(on_.truncate(id, block_count_ * block_bytes));
        }
    }

    /// Writes single blocks, neighbours in one call, and blocks of two objects in one transaction.
    void write(std::size_t thread, std::uint64_t calls) {
        random_bits random{thread + 100};
        for (std::uint64_t i = 0; i < calls && !testing::Test::HasFailure(); ++i) {
            mix_threads(random);
            const auto kind = random.below(40);
            if (kind < 24) write_run(thread, random, 1);
            if (kind >= 24 && kind < 36) write_run(thread, random, 2);
            if (kind >= 36 && kind < 39) write_together(thread, random);
            if (kind == 39) ASHLAR_EXPECT_OK(on_.sync());
        }
    }

    void read(std::size_t thread, const std::atomic<bool>& stopping) {
        random_bits random{thread + 200};
        byte_vector found(2 * block_bytes);
        while (!stopping && !testing::Test::HasFailure()) {
            mix_threads(random);
            const auto  object = static_cast<std::size_t>(random.below(object_count));
            const auto  count  = 1 + random.below(2);
            const auto  block  = random.below(block_count_ - count + 1);
            auto&       log    = logs_[thread];
            std::size_t first  = 0;
            for (std::uint64_t b = 0; b < count; ++b) {
                const auto begun = log.begin_read(register_of(object, block + b));
                if (b == 0) first = begun;
            }
            const std::span<std::byte> into{found.data(), static_cast<std::size_t>(count) * block_bytes};
            const auto                 got = access_.read(objects_[object], block * block_bytes, into);
            ASHLAR_EXPECT_OK(got);
            for (std::uint64_t b = 0; b < count; ++b) {
                const auto value = value_of(into.subspan(static_cast<std::size_t>(b) * block_bytes, block_bytes));
                EXPECT_TRUE(value) << "a mixture of two writes";
                log.end_read(first + static_cast<std::size_t>(b), value.value_or(0));
            }
        }
    }

    [[nodiscard]] std::string findings() const {
        std::string text;
        for (const auto& one : check_linearizability(joined(logs_))) {
            if (text.size() < 1000) text += one.text() + "; ";
        }
        return text;
    }
    [[nodiscard]] std::size_t operations() const { return joined(logs_).size(); }

  private:
    std::uint64_t fresh_value() { return next_value_.fetch_add(1, std::memory_order_relaxed); }

    void write_run(std::size_t thread, random_bits& random, std::uint64_t count) {
        const auto  object = static_cast<std::size_t>(random.below(object_count));
        const auto  block  = random.below(block_count_ - count + 1);
        byte_vector bytes(static_cast<std::size_t>(count) * block_bytes);
        auto&       log   = logs_[thread];
        std::size_t first = 0;
        for (std::uint64_t b = 0; b < count; ++b) {
            const auto value = fresh_value();
            fill_block({bytes.data() + b * block_bytes, block_bytes}, value);
            const auto begun = log.begin_write(register_of(object, block + b), value);
            if (b == 0) first = begun;
        }
        const auto done = on_.write(objects_[object], block * block_bytes, bytes);
        settle(log, first, static_cast<std::size_t>(count), done);
    }

    void write_together(std::size_t thread, random_bits& random) {
        auto begun = on_.begin();
        if (was_busy(begun)) return;
        ASHLAR_EXPECT_OK(begun);
        if (!begun) return;
        auto&       log   = logs_[thread];
        auto        tx    = std::move(begun).value();
        const auto  one   = static_cast<std::size_t>(random.below(object_count - 1));
        const auto  first = log.operations().size();
        std::size_t count = 0;
        result<>    done  = success();
        for (auto object = one; object <= one + 1 && done; ++object) {
            const auto block = random.below(block_count_);
            const auto value = fresh_value();
            log.begin_write(register_of(object, block), value);
            ++count;
            done = tx.write(objects_[object], block * block_bytes, filled_block(block_bytes, value));
        }
        if (done) done = tx.commit();
        settle(log, first, count, done);
    }

    static void settle(operation_log& log, std::size_t first, std::size_t count, const result<>& done) {
        if (!done) { EXPECT_TRUE(was_busy(done)) << said(done); }
        for (auto i = first; i < first + count; ++i) done ? log.end_write(i) : log.refuse_write(i);
    }

    threaded_store&                     on_;
    Access                              access_;
    stamp_counter                       stamps_;
    std::atomic<std::uint64_t>          next_value_{1};
    std::array<object_id, object_count> objects_{};
    std::vector<operation_log>          logs_;
};

/// Three writers, three readers for as long as these write, and the defragmenter.
template <class Access>
void run_registers(register_workload<Access>& work, threaded_store& store, std::uint64_t calls) {
    restless_maintenance     maintenance{store};
    std::atomic<std::size_t> writing{3};
    std::atomic<bool>        stopping{false};
    in_threads(6, [&](std::size_t thread) {
        if (thread < 3) {
            work.write(thread, calls);
            if (--writing == 0) stopping = true;
        } else {
            work.read(thread, stopping);
        }
    });
    EXPECT_GT(maintenance.status().steps, 0U);
    EXPECT_EQ(maintenance.status().failures, 0U);
}

class LinearizableBlocks : public testing::TestWithParam<medium> {};

TEST_P(LinearizableBlocks, ReadsAndWritesHaveOneOrderWhileExtentsMove) {
    threaded_device   device{GetParam(), {}};
    auto              store = device.open();
    register_workload work{store, direct_access{store}, 6};
    const auto        calls = scaled(GetParam() == medium::memory ? 12'000 : 80);
    run_registers(work, store, calls);
    EXPECT_EQ(work.findings(), "");
    EXPECT_GT(work.operations(), 3 * calls) << "beside the writes there must be reads";
    EXPECT_EQ(findings_of(store), "");
    EXPECT_GT(store.defragmenter().status().bytes_moved, 0U) << "nothing moved, so nothing was proved about moves";
    ASHLAR_EXPECT_OK(store.close());
}

/// Answers, now and then, what a thread read there the last time.
class forgetful_access {
  public:
    explicit forgetful_access(threaded_store& store) : store_{&store} {}

    result<std::size_t> read(object_id id, std::uint64_t offset, std::span<std::byte> into) {
        thread_local std::map<std::pair<std::uint64_t, std::uint64_t>, byte_vector> remembered;
        thread_local std::uint64_t                                                  reads = 0;
        auto& last = remembered[{id.value, offset}];
        if (++reads % 20 == 0 && last.size() >= into.size()) {
            std::memcpy(into.data(), last.data(), into.size());
            return into.size();
        }
        auto got = store_->read(id, offset, into);
        last.assign(into.begin(), into.end());
        return got;
    }

  private:
    threaded_store* store_;
};

TEST(LinearizableBlocksPlanted, AReadThatIsSometimesStaleIsFound) {
    threaded_device   device{medium::memory, {}};
    auto              store = device.open();
    register_workload work{store, forgetful_access{store}, 6};
    run_registers(work, store, 1000);
    EXPECT_NE(work.findings(), "");
}

TEST_P(LinearizableBlocks, AWriteOfSeveralBlocksIsSeenWholeOrNotAtAll) {
    constexpr std::size_t blocks = 6;
    threaded_device       device{GetParam(), {}};
    auto                  store = device.open();
    const auto            made  = store.create();
    ASHLAR_ASSERT_OK(made);
    const auto id = made.value();
    ASHLAR_ASSERT_OK(store.truncate(id, blocks * block_bytes));
    const auto                 calls = scaled(GetParam() == medium::memory ? 3000 : 300);
    std::atomic<std::uint64_t> next{1};
    std::atomic<std::size_t>   writing{2};
    restless_maintenance       maintenance{store};
    const auto                 write = [&](random_bits& random) {
        byte_vector bytes(blocks * block_bytes);
        for (std::uint64_t i = 0; i < calls && !HasFailure(); ++i) {
            mix_threads(random);
            const auto value = next.fetch_add(1, std::memory_order_relaxed);
            for (std::size_t b = 0; b < blocks; ++b) fill_block({bytes.data() + b * block_bytes, block_bytes}, value);
            ASHLAR_EXPECT_OK(store.write(id, 0, bytes));
        }
        --writing;
    };
    const auto read = [&](random_bits& random) {
        byte_vector bytes(blocks * block_bytes);
        while (writing > 0 && !HasFailure()) {
            mix_threads(random);
            ASHLAR_EXPECT_OK(store.read(id, 0, std::span<std::byte>{bytes}));
            const auto first = value_of({bytes.data(), block_bytes});
            EXPECT_TRUE(first) << "a mixture within a block";
            for (std::size_t b = 1; b < blocks; ++b)
                EXPECT_EQ(value_of({bytes.data() + b * block_bytes, block_bytes}), first) << "block " << b;
        }
    };
    in_threads(4, [&](std::size_t thread) {
        random_bits random{thread + 1};
        thread < 2 ? write(random) : read(random);
    });
}

INSTANTIATE_TEST_SUITE_P(On, LinearizableBlocks, testing::Values(medium::memory, medium::file), name_of_medium);

}  // namespace linearizable_blocks_test
}  // namespace ashlar::test
