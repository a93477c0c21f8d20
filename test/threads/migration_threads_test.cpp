// Threads that make, write and erase objects while another thread gives all records other widths.

#include "threads_fixture.hpp"

#include "../records/records_fixture.hpp"

namespace ashlar::test {
namespace migration_threads_test {

const volume_shape shape{.block_bytes = 512, .blocks = 6000, .journal_blocks = 256};

/// One thread's objects: nobody else changes them, so it knows what they hold.
class own_objects {
  public:
    own_objects(threaded_store& on, std::uint64_t seed) : on_{on}, random_{seed} {}

    void work(std::uint64_t calls) {
        for (std::uint64_t i = 0; i < calls && !testing::Test::HasFailure(); ++i) {
            mix_threads(random_);
            const auto what = random_.below(10);
            if (known_.size() < 8 || (what == 0 && known_.size() < 60)) {
                const auto made = insist([&] { return on_.create(); });
                ASHLAR_ASSERT_OK(made);
                known_[made.value().value];
            } else if (what == 1 && known_.size() > 20) {
                const auto at = any();
                ASHLAR_ASSERT_OK(insist([&] { return on_.erase({at->first}); }));
                known_.erase(at);
            } else if (what < 7) {
                const auto at    = any();
                const auto bytes = pattern(20 + random_.below(200), random_.next());
                if (at->second.size() > 3000) continue;
                ASHLAR_ASSERT_OK(insist([&] { return on_.append({at->first}, bytes); }));
                at->second.insert(at->second.end(), bytes.begin(), bytes.end());
            } else if (what == 7) {
                ASHLAR_ASSERT_OK(on_.sync());
            } else {
                expect(*any());
            }
        }
    }
    void expect_all() {
        for (const auto& one : known_) expect(one);
    }

  private:
    using objects = std::map<std::uint64_t, byte_vector>;

    objects::iterator any() {
        auto at = known_.begin();
        std::advance(at, static_cast<std::ptrdiff_t>(random_.below(known_.size())));
        return at;
    }
    void expect(const objects::value_type& one) {
        byte_vector seen(one.second.size() + 1);
        const auto  read = on_.read({one.first}, 0, seen);
        ASHLAR_ASSERT_OK(read);
        seen.resize(read.value());
        ASSERT_EQ(seen, one.second) << "its only writer knows what object " << one.first << " holds";
    }

    threaded_store& on_;
    random_bits     random_;
    objects         known_;
};

TEST(MigrationThreads, EveryWriterFindsItsObjectsWhileRecordsMigrate) {
    auto memory = make_memory(shape);
    format_on<threaded_store>(memory, shape);
    auto                     live = open_threaded(memory);
    std::vector<own_objects> owners;
    for (std::uint64_t i = 0; i < 3; ++i) owners.emplace_back(live, i + 1);
    std::atomic<std::size_t> working{owners.size()};
    std::uint64_t            migrations = 0;
    in_threads(owners.size() + 1, [&](std::size_t number) {
        if (number < owners.size()) {
            owners[number].work(scaled(10000));
            --working;
            return;
        }
        constexpr std::uint32_t widths[] = {168, 256, 144, 200};
        while (working != 0) {
            record_migration task{live};
            task.start({.record_bytes = widths[migrations % std::size(widths)]});
            progress said;
            do {
                said = task.step({.blocks_max = 2, .candidates_max = 3});
                std::this_thread::yield();
            } while (said.reasons == stop_reason::budget_spent || said.reasons.has(stop_reason::raced));
            ASSERT_TRUE(said.reasons.has(stop_reason::finished));
            ASSERT_EQ(said.failure.code, errc::none) << message(said.failure.code);
            ++migrations;
        }
    });
    std::printf("  %llu migrations\n", static_cast<unsigned long long>(migrations));
    EXPECT_GT(migrations, 1U);
    for (auto& one : owners) one.expect_all();
    EXPECT_EQ(findings_of(live), "");
    expect_no_traces(live);
    ASHLAR_ASSERT_OK(live.close());
    live = open_threaded(memory);
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace migration_threads_test
}  // namespace ashlar::test
