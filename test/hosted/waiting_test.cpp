// What waits for an operation of another thread that is at its device, and what does not.

#include "../maintenance/repairer_fixture.hpp"

#include <ashlar/hosted/multi_threaded.hpp>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace ashlar::test {
namespace waiting_test {

struct shared_blueprint : test_blueprint<> {
    using threading = multi_threaded;
};
using shared_store = store<shared_blueprint>;

/// Memory whose writes stop while the gate is closed.
class gated_memory {
  public:
    explicit gated_memory(memory_device& inner) : inner_{inner} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return inner_.read(e, in); }
    [[nodiscard]] result<>        write(extent e, std::span<const std::byte> out) noexcept {
               std::unique_lock held{mutex_};
               ++waiting_;
               changed_.notify_all();
               changed_.wait(held, [&] { return open_; });
               --waiting_;
               return inner_.write(e, out);
    }
    [[nodiscard]] result<> sync() noexcept { return inner_.sync(); }
    [[nodiscard]] result<> trim(extent e) noexcept { return inner_.trim(e); }

    void close() {
        const std::lock_guard held{mutex_};
        open_ = false;
    }
    void open() {
        const std::lock_guard held{mutex_};
        open_ = true;
        changed_.notify_all();
    }
    void await_a_writer() {
        std::unique_lock held{mutex_};
        changed_.wait(held, [&] { return waiting_ != 0; });
    }

  private:
    memory_device&          inner_;
    std::mutex              mutex_;
    std::condition_variable changed_;
    int                     waiting_ = 0;
    bool                    open_    = true;
};

/// A store with a writer that is held at its device.
class Waiting : public testing::Test {
  protected:
    Waiting() : memory_{make_memory(shape_)}, device_{memory_} {
        format_on(memory_, shape_);
        auto limits         = small_limits();
        limits.staged_bytes = 0;  // writes go to the device at once
        live_               = opened_on<shared_store>(device_, limits);
        written_            = live_.create().value();
        ASHLAR_EXPECT_OK(live_.checkpoint());
        device_.close();
        writer_ = std::thread{[this] { ASHLAR_EXPECT_OK(live_.write(written_, 0, bytes_)); }};
        device_.await_a_writer();
    }
    /// Lets the writer go on while `other` runs, which was begun before.
    template <class Other>
    void beside(Other&& other) {
        std::thread waits{[&] { other(); }};
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        device_.open();
        writer_.join();
        waits.join();
        byte_vector seen(bytes_.size());
        ASHLAR_EXPECT_OK(live_.read(written_, 0, std::span<std::byte>{seen}));
        EXPECT_EQ(findings_of(live_), "");
    }

    volume_shape  shape_{};
    memory_device memory_;
    gated_memory  device_;
    shared_store  live_;
    object_id     written_{};
    byte_vector   bytes_ = pattern(6000, 1);
    std::thread   writer_;
};

TEST_F(Waiting, ARepairWaitsForAnOperationAndIsNotBusy) {
    beside([&] {
        heard done;
        ASHLAR_EXPECT_OK(live_.repair(done));
        EXPECT_EQ(done.text(), "");
    });
}

TEST_F(Waiting, ATransactionWaitsForAnOperationThatHasTheObject) {
    const auto after = pattern(700, 2);
    beside([&] {
        auto changes = live_.begin();
        ASHLAR_ASSERT_OK(changes);
        ASHLAR_EXPECT_OK(changes.value().write(written_, 0, after));
        ASHLAR_EXPECT_OK(changes.value().commit());
    });
    byte_vector seen(after.size());
    ASHLAR_EXPECT_OK(live_.read(written_, 0, std::span<std::byte>{seen}));
    EXPECT_TRUE(seen == after) << "it came behind";
}

TEST_F(Waiting, AnotherTransactionIsNotWaitedFor) {
    auto first = live_.begin();
    ASHLAR_ASSERT_OK(first);
    ASHLAR_ASSERT_OK(first.value().create());
    auto second = live_.begin();
    ASHLAR_ASSERT_OK(second);
    device_.open();
    writer_.join();
    EXPECT_EQ(code_of(second.value().create()), errc::busy) << "its owner may be this thread";
    ASHLAR_EXPECT_OK(first.value().commit());
    EXPECT_EQ(findings_of(live_), "");
}

TEST_F(Waiting, ATrimWaitsAndTakesNothingFromTheWriter) {
    beside([&] {
        for (;;) {
            const auto done = live_.trim({1000});
            ASHLAR_ASSERT_OK(done);
            if (done.value().finished) break;
        }
    });
    byte_vector seen(bytes_.size());
    ASHLAR_EXPECT_OK(live_.read(written_, 0, std::span<std::byte>{seen}));
    EXPECT_TRUE(seen == bytes_);
}

}  // namespace waiting_test
}  // namespace ashlar::test
