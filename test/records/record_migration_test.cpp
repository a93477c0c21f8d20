#include "records_fixture.hpp"

namespace ashlar::test {
namespace {

const volume_shape shape{.block_bytes = 512, .blocks = 1600, .journal_blocks = 96};

class record_migration_test : public testing::Test {
  protected:
    void SetUp() override {
        format_on(memory_, shape);
        live_ = opened_on(memory_);
    }
    void reopen() {
        ASHLAR_ASSERT_OK(live_.close());
        live_ = opened_on(memory_);
    }
    void kill() {
        static_cast<void>(live_.abandon());
        live_ = opened_on(memory_);
    }
    void expect_objects(const std::vector<object_id>& ids, std::size_t bytes = 100) {
        for (std::size_t i = 0; i < ids.size(); ++i) {
            byte_vector seen(bytes + i % 7);
            ASHLAR_ASSERT_OK(live_.read(ids[i], 0, seen));
            ASSERT_EQ(seen, bytes_of(bytes + i % 7, i)) << "object " << i;
        }
    }

    memory_device memory_ = make_memory(shape);
    test_store    live_;
};

TEST_F(record_migration_test, RecordsBecomeWiderAndEveryObjectIsAsItWas) {
    const auto ids = fill(live_, 60);
    ASHLAR_ASSERT_OK(live_.erase(ids[3]));
    record_migration task{live_};
    task.start({.record_bytes = 200});
    const auto said = run_to_end(task);
    EXPECT_TRUE(said.reasons.has(stop_reason::finished));
    EXPECT_EQ(said.failure.code, errc::none);
    EXPECT_TRUE(task.last_result().finished);
    EXPECT_EQ(task.last_result().records, 61U);
    EXPECT_EQ(live_.volume().record_bytes, 200U);
    EXPECT_EQ(live_.volume().inline_extents, 2U);
    expect_no_traces(live_);
    expect_whole(live_);
    reopen();
    EXPECT_EQ(live_.volume().record_bytes, 200U);
    expect_whole(live_);
    for (std::size_t i = 0; i < ids.size(); ++i) {
        byte_vector seen(100 + i % 7);
        const auto  read = live_.read(ids[i], 0, seen);
        if (i == 3) {
            EXPECT_EQ(code_of(read), errc::not_found);
            continue;
        }
        ASHLAR_ASSERT_OK(read);
        EXPECT_EQ(seen, bytes_of(100 + i % 7, i));
    }
    EXPECT_NE(live_.create().value(), ids[3]) << "the id of an erased object does not come back";
}

}  // namespace
}  // namespace ashlar::test
