// A store whose threads meet at every lock, wait, wake and transfer in an order that a seed decides.

#include "../counts.hpp"
#include "../store/store_fixture.hpp"

#include <ashlar/defrag_policy/best_gain.hpp>
#include <ashlar/testing/linearizability.hpp>
#include <ashlar/testing/scheduled.hpp>

#include <array>
#include <memory>

#include <sys/wait.h>
#include <unistd.h>

namespace ashlar::test {
namespace interleaving_test {

/// `scheduled`, which can be told to forget things. Every so many locks one is given up at once; every so many wakes
/// one is not given. 0: never.
struct forgetful : scheduled {
    static inline std::uint64_t lock_lost_every = 0;
    static inline std::uint64_t wake_lost_every = 0;

    class mutex {
      public:
        void lock() noexcept {
            inner_.lock();
            early_ = lock_lost_every != 0 && ++locks_ % lock_lost_every == 0;
            if (early_) inner_.unlock();
        }
        void unlock() noexcept {
            if (!early_) inner_.unlock();
            early_ = false;
        }

      private:
        friend struct forgetful;
        scheduled::mutex inner_;
        std::uint64_t    locks_ = 0;
        bool             early_ = false;
    };
    class condition {
      public:
        void wait(mutex& held) noexcept { inner_.wait(held.inner_); }
        void wake() noexcept {
            if (wake_lost_every == 0 || ++wakes_ % wake_lost_every != 0) inner_.wake();
        }

      private:
        scheduled::condition inner_;
        std::uint64_t        wakes_ = 0;
    };
};
static_assert(Threading<forgetful>);

struct interleaved_blueprint : blueprint {
    using device    = any_device;
    using journal   = ring_journal;
    using threading = forgetful;
    using defrag    = best_gain;
};
using interleaved_store = store<interleaved_blueprint>;

constexpr std::size_t   objects   = 3;
constexpr std::uint64_t registers = 6;  ///< Blocks of each object.
constexpr std::size_t   block     = 512;

void fill_block(std::span<std::byte> bytes, std::uint64_t value) {
    for (std::size_t at = 0; at < bytes.size(); at += 8) {
        const std::uint64_t word = value ^ (at * 0x9E37'79B9'7F4A'7C15U);
        std::memcpy(bytes.data() + at, &word, sizeof word);
    }
}
/// Which write a block is from: 0 for a hole, the largest value for a mixture.
std::uint64_t value_of(std::span<const std::byte> bytes) {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes.data(), sizeof value);
    byte_vector expected(bytes.size());
    if (value != 0) fill_block(expected, value);
    return std::memcmp(expected.data(), bytes.data(), bytes.size()) == 0 ? value : ~std::uint64_t{0};
}

/// How a world may be spoilt.
struct planted {
    std::uint64_t stale_read_every = 0;  ///< A reader answers what it read there before.
};

/// Two writers, two readers, one who syncs and makes checkpoints, one who trims, and the defragmenter.
class crossing {
  public:
    explicit crossing(std::uint64_t seed, planted fault = {})
        : seed_{seed},
          fault_{fault},
          memory_{make_memory(shape())},
          checked_{memory_},
          slow_{checked_},
          logs_(4, operation_log{stamps_}) {
        format_on<interleaved_store>(checked_, shape());
        auto options   = with<interleaved_store>(limits(seed));
        options.defrag = eager_defragmenter();
        auto opened    = interleaved_store::open(any_device{slow_}, options);
        EXPECT_TRUE(opened) << said(opened);
        store_ = std::move(opened).value();
        for (auto& id : ids_) {
            id = store_.create().value();
            ASHLAR_EXPECT_OK(store_.truncate(id, registers * block));
        }
    }

    /// Answers what went wrong; empty when nothing did. Stuck threads stand in this object for ever.
    std::string run() {
        random_bits random{seed_};
        schedule    threads{seed_, {.switch_permille = static_cast<std::uint32_t>(20 + random.below(300))}};
        for (std::size_t i = 0; i < 2; ++i) threads.spawn("writer " + std::to_string(i), [this, i] { write(i); });
        for (std::size_t i = 2; i < 4; ++i) threads.spawn("reader " + std::to_string(i), [this, i] { read(i); });
        threads.spawn("syncer", [this] { keep(); });
        threads.spawn("trimmer", [this] { trim(); });
        threads.spawn("mover", [this] { move(); });
        slow_.excuse_reads([] { return schedule::self() == 6; });  // the mover
        report_ = threads.run();
        if (!report_.stuck.empty()) return report_.stuck;
        if (!wrong_.empty()) return wrong_;
        if (const auto found = check_linearizability(joined(logs_)); !found.empty()) return found.front().text();
        if (!slow_.meetings().empty()) return slow_.meetings().front();
        if (const auto broken = checked_.violations(); !broken.empty()) return broken.front();
        if (const auto found = findings_of(store_); !found.empty()) return found;
        if (const auto done = store_.close(); !done) return "close: " + said(done);
        return {};
    }

    [[nodiscard]] const schedule_report&     report() const { return report_; }
    [[nodiscard]] std::size_t                operations() const { return joined(logs_).size(); }
    [[nodiscard]] std::uint64_t              moved() const { return moved_; }
    [[nodiscard]] std::uint64_t              trimmed() const { return trimmed_; }
    [[nodiscard]] std::span<const std::byte> image() const { return memory_.bytes(); }

  private:
    static volume_shape  shape() { return {.block_bytes = block, .blocks = 700, .journal_blocks = 80}; }
    static volume_limits limits(std::uint64_t seed) {
        auto chosen         = small_limits();
        chosen.cache_blocks = seed % 3 == 0 ? 96 : 20;
        chosen.staged_bytes = seed % 2 == 0 ? 0 : 8192;
        chosen.transactions = 8;
        return chosen;
    }

    void fail(const std::string& what) {
        if (wrong_.empty()) wrong_ = what;
    }
    template <class T>
    void check(const char* what, const result<T>& answer) {
        if (!answer && answer.error().code != errc::busy) fail(std::string{what} + ": " + said(answer));
    }
    static std::uint64_t register_of(std::size_t object, std::uint64_t at) { return object * registers + at; }

    void write(std::size_t self) {
        random_bits random{seed_ * 8 + self};
        for (int i = 0; i < 14 && wrong_.empty(); ++i) {
            const auto object = static_cast<std::size_t>(random.below(objects));
            if (random.below(5) == 0) {
                write_together(self, random);
                continue;
            }
            const auto  count = 1 + random.below(3);
            const auto  first = random.below(registers - count + 1);
            byte_vector bytes(static_cast<std::size_t>(count) * block);
            auto&       log   = logs_[self];
            const auto  begun = log.operations().size();
            for (std::uint64_t at = 0; at < count; ++at) {
                fill_block(std::span{bytes}.subspan(static_cast<std::size_t>(at) * block, block), ++values_);
                log.begin_write(register_of(object, first + at), values_);
            }
            const auto done = store_.write(ids_[object], first * block, bytes);
            check("write", done);
            for (auto at = begun; at < begun + count; ++at) done ? log.end_write(at) : log.refuse_write(at);
        }
    }

    void write_together(std::size_t self, random_bits& random) {
        auto begun = store_.begin();
        check("begin", begun);
        if (!begun) return;
        auto&       tx    = begun.value();
        auto&       log   = logs_[self];
        const auto  first = log.operations().size();
        std::size_t count = 0;
        result<>    done  = success();
        for (std::size_t object = 0; object < 2 && done; ++object, ++count) {
            const auto  at = random.below(registers);
            byte_vector bytes(block);
            fill_block(bytes, ++values_);
            log.begin_write(register_of(object, at), values_);
            done = tx.write(ids_[object], at * block, bytes);
            schedule::point();
        }
        if (done) done = tx.commit();
        check("transaction", done);
        for (auto at = first; at < first + count; ++at) done ? log.end_write(at) : log.refuse_write(at);
    }

    void read(std::size_t self) {
        random_bits                            random{seed_ * 8 + self};
        std::map<std::uint64_t, std::uint64_t> before;
        for (std::uint64_t i = 1; i <= 30 && wrong_.empty(); ++i) {
            const auto  object = static_cast<std::size_t>(random.below(objects));
            const auto  count  = 1 + random.below(3);
            const auto  first  = random.below(registers - count + 1);
            byte_vector bytes(static_cast<std::size_t>(count) * block);
            auto&       log   = logs_[self];
            const auto  begun = log.operations().size();
            for (std::uint64_t at = 0; at < count; ++at) log.begin_read(register_of(object, first + at));
            const auto done = store_.read(ids_[object], first * block, std::span<std::byte>{bytes});
            check("read", done);
            for (std::uint64_t at = 0; at < count && done; ++at) {
                auto value = value_of(std::span{bytes}.subspan(static_cast<std::size_t>(at) * block, block));
                if (value == ~std::uint64_t{0}) fail("a mixture of two writes was read");
                auto& last = before[register_of(object, first + at)];
                if (fault_.stale_read_every != 0 && i % fault_.stale_read_every == 0) value = last;
                last = value;
                log.end_read(begun + static_cast<std::size_t>(at), value);
            }
        }
    }

    void keep() {
        for (int i = 0; i < 6 && wrong_.empty(); ++i) {
            check("sync", store_.sync());
            if (i == 3) check("checkpoint", store_.checkpoint());
        }
    }
    void trim() {
        for (int i = 0; i < 6 && wrong_.empty(); ++i) {
            const auto done = store_.trim(block_count{40});
            check("trim", done);
            if (done) trimmed_ += done.value().blocks.value;
        }
    }
    void move() {
        for (int i = 0; i < 8 && wrong_.empty(); ++i) check("maintain", store_.maintain({.blocks_max = 8}));
        moved_ = store_.metrics().blocks_moved;
    }

    std::uint64_t                   seed_;
    planted                         fault_;
    memory_device                   memory_;
    checked_memory                  checked_;
    yielding_device<checked_memory> slow_;
    interleaved_store               store_;
    std::array<object_id, objects>  ids_{};
    stamp_counter                   stamps_;
    std::vector<operation_log>      logs_;
    schedule_report                 report_{};
    std::string                     wrong_;
    std::uint64_t                   values_ = 0, moved_ = 0, trimmed_ = 0;
};

TEST(Interleaving, ReadersWritersCommitsTrimsAndMovesHaveOneOrderInEveryInterleaving) {
    const auto    seeds    = scaled(400);
    std::uint64_t switches = 0, moved = 0, trimmed = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        auto       world = std::make_unique<crossing>(seed);
        const auto wrong = world->run();
        switches += world->report().switches;
        moved += world->moved();
        trimmed += world->trimmed();
        if (!world->report().stuck.empty()) static_cast<void>(world.release());  // its threads stand in it
        ASSERT_EQ(wrong, "") << "seed " << seed;
    }
    EXPECT_GT(switches, 100 * seeds) << "threads that do not meet prove nothing";
    EXPECT_GT(moved, seeds);
    EXPECT_GT(trimmed, seeds);
    count("interleavings of threads", seeds);
}

TEST(Interleaving, TheSameSeedGivesTheSameBytesAndTheSameOrder) {
    for (std::uint64_t seed = 1; seed <= scaled(20); ++seed) {
        crossing first{seed}, second{seed};
        ASSERT_EQ(first.run(), "");
        ASSERT_EQ(second.run(), "");
        EXPECT_EQ(first.report().trace, second.report().trace);
        EXPECT_EQ(first.report().points, second.report().points);
        EXPECT_TRUE(std::equal(first.image().begin(), first.image().end(), second.image().begin()));
    }
}

TEST(InterleavingPlanted, AReadThatIsSometimesStaleIsFound) {
    std::uint64_t found = 0;
    for (std::uint64_t seed = 1; seed <= 10; ++seed)
        found += crossing{seed, {.stale_read_every = 4}}.run().empty() ? 0 : 1;
    EXPECT_GT(found, 5U);
}

/// Runs seeds in a process of its own until one fails; answers whether one did, or ended the process.
template <class Plant>
bool is_found(std::uint64_t seeds, Plant plant) {
    const auto child = ::fork();
    if (child == 0) {
        static_cast<void>(std::freopen("/dev/null", "w", stderr));  // what a sanitizer says of the planted fault
        plant();
        for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
            auto world = std::make_unique<crossing>(seed);
            if (!world->run().empty()) ::_exit(1);
        }
        ::_exit(0);
    }
    int status = 0;
    return child > 0 && ::waitpid(child, &status, 0) == child && status != 0;
}

TEST(InterleavingPlanted, AnEngineWhoseLockIsGivenUpTooEarlyIsFound) {
    EXPECT_FALSE(is_found(5, [] {}));
    EXPECT_TRUE(is_found(40, [] { forgetful::lock_lost_every = 40; }));
}

TEST(InterleavingPlanted, AWakeThatIsNotGivenIsReportedWithWhatEveryThreadWaitsFor) {
    forgetful::wake_lost_every = 3;
    std::string stuck;
    for (std::uint64_t seed = 1; seed <= 40 && stuck.empty(); ++seed) {
        auto world = std::make_unique<crossing>(seed);
        static_cast<void>(world->run());
        stuck = world->report().stuck;
        if (!stuck.empty()) static_cast<void>(world.release());
    }
    forgetful::wake_lost_every = 0;
    EXPECT_NE(stuck.find("nobody can go on"), std::string::npos) << stuck;
    EXPECT_NE(stuck.find("waits for a wake"), std::string::npos) << stuck;
}

}  // namespace interleaving_test
}  // namespace ashlar::test
