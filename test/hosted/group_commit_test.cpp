#include "../store/store_fixture.hpp"

#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace ashlar::test {
namespace group_commit_test {

/// Holds each sync until it is let through.
template <class Inner>
class gated_device {
  public:
    explicit gated_device(Inner& inner) noexcept : inner_{inner} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }
    [[nodiscard]] result<>        read(extent e, std::span<std::byte> in) noexcept { return inner_.read(e, in); }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept { return inner_.write(e, out); }
    [[nodiscard]] result<> trim(extent e) noexcept { return inner_.trim(e); }
    [[nodiscard]] result<> sync() noexcept {
        std::unique_lock lock{mutex_};
        ++arrived_;
        changed_.notify_all();
        changed_.wait(lock, [&] { return open_ || let_ > 0; });
        if (!open_) --let_;
        lock.unlock();
        return inner_.sync();
    }

    void close_gate() {
        const std::lock_guard lock{mutex_};
        open_    = false;
        arrived_ = let_ = 0;
    }
    void open_gate() {
        const std::lock_guard lock{mutex_};
        open_ = true;
        changed_.notify_all();
    }
    void let_one() {
        const std::lock_guard lock{mutex_};
        ++let_;
        changed_.notify_all();
    }
    void await(int syncs) {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [&] { return arrived_ >= syncs; });
    }

  private:
    Inner&                  inner_;
    std::mutex              mutex_;
    std::condition_variable changed_;
    bool                    open_    = true;
    int                     let_     = 0;
    int                     arrived_ = 0;
};

struct shared_blueprint : blueprint {
    using device    = any_device;
    using journal   = ring_journal;
    using threading = multi_threaded;
};

TEST(GroupCommit, WhoComesWhileABatchIsSyncedSharesTheNext) {
    using shared_store = store<shared_blueprint>;
    const volume_shape shape{.block_bytes = 512, .blocks = 3000, .journal_blocks = 128};
    auto               memory = make_memory(shape);
    recording_device   record{memory};
    gated_device       gate{record};
    format_on<shared_store>(gate, shape);
    auto                   live = opened_on<shared_store>(gate, {});
    std::vector<object_id> ids;
    for (int i = 0; i < 12; ++i) ids.push_back(live.create().value());
    ASHLAR_ASSERT_OK(live.checkpoint());
    record.forget();

    gate.close_gate();
    const auto               put = [&](std::size_t i) { ASHLAR_EXPECT_OK(live.put(ids[i], 0, pattern(512, i))); };
    std::vector<std::thread> threads;
    threads.emplace_back(put, 0);
    gate.await(1);
    for (std::size_t i = 1; i < ids.size(); ++i) threads.emplace_back(put, i);
    for (bool all = false; !all;) {  // all have joined the open batch, and wait for the first
        {
            const entered guard{live.volume()};
            all = live.volume().joined == 11;
        }
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    // What has joined can be seen, also by a reader who comes while the batch is on its way.
    byte_vector seen(512);
    ASHLAR_EXPECT_OK(live.read(ids[11], 0, std::span<std::byte>{seen}));
    EXPECT_EQ(seen, pattern(512, 11));
    gate.let_one();
    gate.await(2);
    gate.let_one();
    for (auto& one : threads) one.join();
    gate.open_gate();

    const auto count = [&](transfer_kind kind) {
        return std::count_if(record.calls().begin(), record.calls().end(),
                             [&](const auto& call) { return call.kind == kind; });
    };
    EXPECT_EQ(count(transfer_kind::sync), 2) << "twelve puts";
    EXPECT_EQ(count(transfer_kind::write), 3) << "a batch with its data in it; the data of eleven, and their batch";

    static_cast<void>(live.abandon());
    live = opened_on<shared_store>(gate, {});
    for (std::size_t i = 0; i < ids.size(); ++i) {
        ASHLAR_ASSERT_OK(live.read(ids[i], 0, std::span<std::byte>{seen}));
        EXPECT_EQ(seen, pattern(512, i));
    }
    EXPECT_EQ(findings_of(live), "");
}

}  // namespace group_commit_test
}  // namespace ashlar::test
