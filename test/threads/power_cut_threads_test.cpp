// Power that goes while many threads work: what any of them was told is durable must be there.

#include "threads_fixture.hpp"

#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/faulty_device.hpp>

namespace ashlar::test {
namespace power_cut_threads_test {

constexpr std::size_t block_bytes = 512;

/// What is known of a block that one thread writes with ever higher numbers.
struct witness {
    object_id                  id{};
    object_id                  twin{};       ///< Written in the same transactions, where there is one.
    std::atomic<std::uint64_t> issued{0};    ///< The highest number that a call was made with.
    std::atomic<std::uint64_t> returned{0};  ///< Of a call that has returned.
    std::atomic<std::uint64_t> durable{0};   ///< Promised by a put, a commit or a sync.

    void promise(std::uint64_t number) {
        auto now = durable.load();
        while (now < number && !durable.compare_exchange_weak(now, number)) {}
    }
};

/// Puts, transactions, writes that another thread syncs, objects that come and go, and the defragmenter, until the
/// power is cut.
class cut_workload {
  public:
    explicit cut_workload(threaded_store& on) : on_{on} {
        for (std::size_t i = 0; i < witnesses_.size(); ++i) {
            witnesses_[i].id = fresh();
            if (i == 2 || i == 3) witnesses_[i].twin = fresh();
        }
        ASHLAR_EXPECT_OK(on_.sync());
    }

    void run() {
        restless_maintenance maintenance{on_};
        in_threads(8, [&](std::size_t thread) {
            random_bits random{thread + 1};
            while (!over_ && step(thread, random)) mix_threads(random);
            over_ = true;
        });
    }

    /// What an image holds against what was promised. Empty when all is well.
    std::string check(threaded_store& found) const {
        for (std::size_t i = 0; i < witnesses_.size(); ++i) {
            const auto& one   = witnesses_[i];
            const auto  value = read_number(found, one.id);
            if (!value) return "the block of witness " + std::to_string(i) + " cannot be read or is mixed";
            if (*value < one.durable || *value > one.issued) {
                return "witness " + std::to_string(i) + " holds " + std::to_string(*value) + ", promised was " +
                       std::to_string(one.durable.load()) + ", issued " + std::to_string(one.issued.load());
            }
            if (one.twin && read_number(found, one.twin) != value) return "half of a transaction is there";
        }
        return findings_of(found);
    }
    [[nodiscard]] std::uint64_t promised() const {
        std::uint64_t sum = 0;
        for (const auto& one : witnesses_) sum += one.durable;
        return sum;
    }

  private:
    object_id fresh() {
        const auto made = on_.create();
        ASHLAR_EXPECT_OK(made);
        return made ? made.value() : object_id{};
    }

    static std::optional<std::uint64_t> read_number(threaded_store& from, object_id id) {
        byte_vector bytes(block_bytes);
        const auto  got = from.read(id, 0, std::span<std::byte>{bytes});
        return got ? value_of(bytes) : std::nullopt;
    }

    /// False when a call failed. Threads 0 and 1 put, 2 and 3 commit, 4 and 5 write, 6 syncs, 7 makes waste.
    bool step(std::size_t thread, random_bits& random) {
        if (thread == 6) return sync();
        if (thread == 7) return churn(random);
        auto&      mine   = witnesses_[thread];
        const auto number = ++mine.issued;
        const auto bytes  = filled_block(block_bytes, number);
        if (thread >= 4) {
            if (!on_.write(mine.id, 0, bytes)) return false;
            mine.returned = number;
            return true;
        }
        const auto done = thread < 2 ? on_.put(mine.id, 0, bytes) : commit(mine, bytes);
        if (was_busy(done)) return true;
        if (!done) return false;
        mine.returned = number;
        mine.promise(number);
        return true;
    }

    result<> commit(witness& mine, std::span<const std::byte> bytes) {
        BOOST_OUTCOME_TRY(auto tx, on_.begin());
        BOOST_OUTCOME_TRY(tx.write(mine.id, 0, bytes));
        BOOST_OUTCOME_TRY(tx.write(mine.twin, 0, bytes));
        return tx.commit();
    }

    /// All that had returned before the sync began is promised by its return, whoever called.
    bool sync() {
        std::array<std::uint64_t, 6> before{};
        for (std::size_t i = 0; i < before.size(); ++i) before[i] = witnesses_[i].returned;
        if (!on_.sync()) return false;
        for (std::size_t i = 0; i < before.size(); ++i) witnesses_[i].promise(before[i]);
        return true;
    }

    bool churn(random_bits& random) {
        const auto made = insist([&] { return on_.create(); });
        if (!made) return false;
        if (!on_.write(made.value(), 0, pattern(static_cast<std::size_t>(1 + random.below(2500)), 7))) return false;
        waste_.push_back(made.value());
        if (waste_.size() < 30) return true;
        std::swap(waste_.back(), waste_[static_cast<std::size_t>(random.below(waste_.size()))]);
        const auto gone = waste_.back();
        waste_.pop_back();
        return on_.erase(gone).has_value();
    }

    threaded_store&        on_;
    std::array<witness, 6> witnesses_{};
    std::vector<object_id> waste_{};  ///< Of thread 7.
    std::atomic<bool>      over_{false};
};

TEST(PowerCutThreads, EveryAcknowledgedPutCommitAndSyncIsThereAfterACutAtAnyTime) {
    const volume_shape shape{.blocks = 3000, .journal_blocks = 128};
    std::uint64_t      states = 0, promised = 0;
    byte_vector        image(shape.blocks * shape.block_bytes);
    for (std::uint64_t round = 0; round < scaled(60) && !HasFailure(); ++round) {
        auto             memory = make_memory(shape);
        power_cut_device device{memory};
        any_device       any{device};
        ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
        auto         store = open_threaded(device);
        cut_workload work{store};
        device.cut_after(1 + random_bits{round}.below(400));
        work.run();
        EXPECT_FALSE(device.powered());
        static_cast<void>(store.abandon());
        promised += work.promised();
        for (const auto choice :
             crash_choices(device, {.random_max = 3, .single_max = 4, .tears_max = 2, .seed = round})) {
            device.crash_image(choice, image);
            auto lent = memory_device::lend(image, {shape.block_bytes});
            ASHLAR_ASSERT_OK(lent);
            auto found = open_threaded(lent.value());
            ASSERT_EQ(work.check(found), "") << "round " << round;
            static_cast<void>(found.abandon());
            ++states;
        }
    }
    EXPECT_GT(promised, 0U) << "no cut came late enough for anything to be promised";
    std::printf("power cut beside threads: %llu states, %llu promises\n", static_cast<unsigned long long>(states),
                static_cast<unsigned long long>(promised));
}

TEST(PowerCutThreads, AFailedSyncReachesEveryThreadThatWaitsForIt) {
    const volume_shape shape{.blocks = 3000, .journal_blocks = 128};
    for (std::uint64_t nth = 1; nth <= 40; nth += 3) {
        auto          memory = make_memory(shape);
        faulty_device device{memory};
        any_device    any{device};
        ASHLAR_ASSERT_OK(threaded_store::format(any, shape.format()));
        auto         store = open_threaded(device);
        cut_workload work{store};
        device.fail(transfer_kind::sync, nth);
        work.run();  // A thread that is not told would wait for ever.
        EXPECT_TRUE(store.read_only());
        static_cast<void>(store.abandon());
        auto found = open_threaded(memory);
        ASSERT_EQ(work.check(found), "") << "sync " << nth << " failed";
        ASHLAR_EXPECT_OK(found.close());
    }
}

}  // namespace power_cut_threads_test
}  // namespace ashlar::test
