// A million objects from eight threads; fewer of them in the ordinary tests: ASHLAR_TEST_SCALE=50 makes it the million.

#include "threads_fixture.hpp"

#include <chrono>

namespace ashlar::test {
namespace million_objects_test {

class stage_clock {
  public:
    void tell(const char* what) {
        const auto now = std::chrono::steady_clock::now();
        std::printf("  %s: %.2f s\n", what, std::chrono::duration<double>(now - last_).count());
        last_ = now;
    }

  private:
    std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

/// The bytes of an object tell whose it is.
byte_vector bytes_of_object(object_id id) {
    return filled_block(64 + 8 * static_cast<std::size_t>(id.value % 8), id.value);
}

TEST(MillionObjects, EightThreadsMakeThemAndAllAreThere) {
    constexpr std::size_t threads = 8;
    const std::uint64_t   each    = scaled(20'000) / threads;
    const volume_shape    shape{.block_bytes = 1024, .blocks = 40'000 + each * threads * 3 / 2, .journal_blocks = 4096};
    auto                  limits = threaded_limits();
    limits.cache_blocks          = 4096;
    limits.staging_bytes         = 256 * 1024;
    limits.journal_bytes         = 256 * 1024;
    limits.unsynced_blocks       = 4096;
    limits.unsynced_runs         = 1024;
    limits.space                 = {.groups_loaded = 16, .retired = 8192, .holds = 16};
    threaded_device device{medium::memory, shape};
    auto            store = device.open(threaded_options(limits));
    stage_clock     clock;

    std::vector<std::vector<object_id>> ids(threads);
    in_threads(threads, [&](std::size_t thread) {
        for (std::uint64_t i = 0; i < each && !testing::Test::HasFailure(); ++i) {
            const auto made = store.create();
            ASHLAR_ASSERT_OK(made);
            ids[thread].push_back(made.value());
            ASHLAR_ASSERT_OK(store.append(made.value(), bytes_of_object(made.value())));
            if (i % 64 == 63) ASHLAR_ASSERT_OK(store.sync());
        }
    });
    clock.tell("made");
    ASSERT_FALSE(HasFailure());
    EXPECT_EQ(store.info().objects, each * threads + 1);

    in_threads(threads, [&](std::size_t thread) {  // Each reads what its neighbour made, and erases every fifth.
        auto& theirs = ids[(thread + 1) % threads];
        for (std::size_t i = 0; i < theirs.size() && !testing::Test::HasFailure(); ++i) {
            const auto  expected = bytes_of_object(theirs[i]);
            byte_vector found(200);
            const auto  got = store.read(theirs[i], 0, std::span<std::byte>{found});
            ASHLAR_ASSERT_OK(got);
            found.resize(got.value());
            ASSERT_TRUE(found == expected) << "object " << theirs[i].value;
            if (i % 5 == 0) ASHLAR_ASSERT_OK(store.erase(theirs[i]));
        }
    });
    clock.tell("read, every fifth erased");
    ASSERT_FALSE(HasFailure());

    ASHLAR_ASSERT_OK(store.close());
    store = device.open(threaded_options(limits));
    clock.tell("closed and opened");
    std::set<std::uint64_t> left{store.root().value};
    for (const auto& some : ids) {
        for (std::size_t i = 0; i < some.size(); ++i) {
            if (i % 5 != 0) { EXPECT_TRUE(left.insert(some[i].value).second) << "an id was given twice"; }
        }
    }
    auto expected = left.begin();
    for (object_id at{};; ++expected) {
        const auto next = store.next_object(at);
        ASHLAR_ASSERT_OK(next);
        if (!next.value()) break;
        at = *next.value();
        ASSERT_TRUE(expected != left.end() && *expected == at.value) << "object " << at.value << " is not expected";
    }
    EXPECT_TRUE(expected == left.end());
    EXPECT_EQ(findings_of(store), "");
    clock.tell("listed and verified");
    ASHLAR_EXPECT_OK(store.close());
}

}  // namespace million_objects_test
}  // namespace ashlar::test
