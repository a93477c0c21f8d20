#pragma once
/// Shared by the tests of channels: a device whose queue obeys the test, and calls that wait for one request.

#include "../store/store_fixture.hpp"

#include <ashlar/channel.hpp>
#include <ashlar/hosted/multi_threaded.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <atomic>
#include <deque>

namespace ashlar::test {

/// A number that queues of several threads count in.
struct shared_count : std::atomic<std::size_t> {
    shared_count() noexcept : atomic{0} {}
    shared_count(const shared_count& other) noexcept : atomic{other.load()} {}
    shared_count& operator=(const shared_count& other) noexcept {
        store(other.load());
        return *this;
    }
    using atomic::operator=;
};

/// How the queues of a device behave, and what they saw.
struct queue_orders {
    std::size_t  reap         = 0;      ///< Transfers handed back by one call; 0: all. Waiting for more gives more.
    bool         newest_first = false;  ///< Made in the opposite order.
    std::size_t  breaks_at    = 0;      ///< The call of `complete` that fails, and all behind it; 0: none.
    shared_count calls{};               ///< Of `complete`.
    shared_count deepest{};             ///< Most transfers in flight, as far as one thread can tell.
    shared_count open{};                ///< Queues.
};

/// Holds transfers until `complete`, and makes as many as it is told to.
class ordered_queue {
  public:
    ordered_queue(any_device device, std::size_t depth, queue_orders& orders)
        : device_{std::move(device)}, depth_{depth}, orders_{&orders} {
        ++orders.open;
    }
    ordered_queue(ordered_queue&& other) noexcept
        : device_{std::move(other.device_)},
          depth_{other.depth_},
          orders_{std::exchange(other.orders_, nullptr)},
          waiting_{std::move(other.waiting_)} {
        other.waiting_.clear();
    }
    ordered_queue& operator=(ordered_queue&& other) noexcept {
        std::swap(device_, other.device_);
        std::swap(depth_, other.depth_);
        std::swap(orders_, other.orders_);
        std::swap(waiting_, other.waiting_);
        return *this;
    }
    ~ordered_queue() {
        if (orders_ != nullptr) --orders_->open;
    }

    [[nodiscard]] std::size_t depth() const noexcept { return depth_; }
    [[nodiscard]] std::size_t in_flight() const noexcept { return waiting_.size(); }
    void                      submit(transfer& t) noexcept {
                             ASHLAR_ASSERT(waiting_.size() < depth_);
                             waiting_.push_back(&t);
                             if (orders_->deepest < waiting_.size()) orders_->deepest = waiting_.size();
    }
    [[nodiscard]] result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
        EXPECT_LE(at_least, waiting_.size());
        EXPECT_LE(at_least, finished.size());
        if (orders_->breaks_at != 0 && ++orders_->calls >= orders_->breaks_at)
            return error{errc::device_failed, {}, EIO};
        std::size_t most = orders_->reap == 0 ? waiting_.size() : std::max(orders_->reap, at_least);
        most             = std::min({most, waiting_.size(), finished.size()});
        for (std::size_t i = 0; i < most; ++i) {
            transfer* const t = orders_->newest_first ? waiting_.back() : waiting_.front();
            orders_->newest_first ? waiting_.pop_back() : waiting_.pop_front();
            perform(*t);
            finished[i] = t;
        }
        return most;
    }

  private:
    void perform(transfer& t) noexcept {
        const auto bytes = static_cast<std::size_t>(bytes_of(t.blocks.count, device_.geometry().size));
        result<>   done  = success();
        switch (t.kind) {
            case transfer_kind::read: done = device_.read(t.blocks, {t.memory, bytes}); break;
            case transfer_kind::write: done = device_.write(t.blocks, {t.memory, bytes}); break;
            case transfer_kind::sync: done = device_.sync(); break;
            case transfer_kind::trim: done = device_.trim(t.blocks); break;
        }
        t.failure = done ? error{} : done.error();
    }

    any_device            device_;
    std::size_t           depth_;
    queue_orders*         orders_;
    std::deque<transfer*> waiting_;
};

/// Any device, with such queues.
class ordered_device : public any_device {
  public:
    using queue = ordered_queue;

    template <BlockDevice D>
    ordered_device(D& device, queue_orders& orders) noexcept : any_device{device}, orders_{&orders} {}

    [[nodiscard]] result<queue> open_queue(queue_options options) noexcept {
        if (options.depth == 0) return errc::invalid_argument;
        return ordered_queue{static_cast<const any_device&>(*this), options.depth, *orders_};
    }

  private:
    queue_orders* orders_;
};
static_assert(QueuedDevice<ordered_device>);

template <class Device, class ThreadingPolicy>
struct channel_blueprint : blueprint {
    using device    = Device;
    using journal   = ring_journal;
    using threading = ThreadingPolicy;
};
using ordered_single = channel_blueprint<ordered_device, single_threaded>;
using ordered_multi  = channel_blueprint<ordered_device, multi_threaded>;

/// A volume in memory with a store and the parts between them that tests look at.
template <class Blueprint>
struct bench_store {
    using recorded = recording_device<memory_device>;
    using faulty   = faulty_device<recorded>;
    using channels = channel<Blueprint>;

    explicit bench_store(volume_shape  chosen = {.block_bytes = 512, .blocks = 3000, .journal_blocks = 128},
                         volume_limits limits = {})
        : shape{chosen}, memory{make_memory(chosen)} {
        format_on(memory, shape);
        open(limits);
    }
    void open(volume_limits limits = {}) {
        auto made = store<Blueprint>::open(ordered_device{device, orders}, with<store<Blueprint>>(limits));
        ASHLAR_ASSERT_OK(made);
        live = std::move(made).value();
        record.forget();
    }
    /// As after a crash, with all that was written.
    void crash() {
        static_cast<void>(live.abandon());
        device.heal();
        orders = {};
        open();
    }
    channels channel_of(channel_options options = {}) {
        auto made = channels::open(live, options);
        EXPECT_TRUE(made) << said(made);
        return std::move(made).value();
    }
    object_id object(std::span<const std::byte> bytes = {}) {
        const auto made = live.create();
        EXPECT_TRUE(made) << said(made);
        if (!bytes.empty()) ASHLAR_EXPECT_OK(live.write(made.value(), 0, bytes));
        return made.value();
    }
    [[nodiscard]] std::size_t count(transfer_kind kind) const {
        return static_cast<std::size_t>(std::count_if(record.calls().begin(), record.calls().end(),
                                                      [&](const auto& call) { return call.kind == kind; }));
    }
    byte_vector bytes_of_object(object_id id) {
        byte_vector bytes(live.size(id).value());
        const auto  read = live.read(id, 0, std::span<std::byte>{bytes});
        EXPECT_TRUE(read) << said(read);
        return bytes;
    }

    volume_shape     shape;
    memory_device    memory;
    recorded         record{memory};
    faulty           device{record};
    queue_orders     orders{};
    store<Blueprint> live;
};

/// Completes until nothing is in flight; answers how many requests came back.
template <class Channel>
std::size_t finish_all(Channel& on) {
    std::array<request*, 16> finished;
    std::size_t              count = 0;
    while (on.in_flight() != 0) {
        const auto done = on.complete(finished, 1);
        if (!done) {
            ADD_FAILURE() << said(done);
            return count;
        }
        count += done.value();
    }
    return count;
}

/// One request from beginning to end.
template <class Channel>
void run_one(Channel& on, request& asked) {
    on.submit(asked);
    finish_all(on);
}

inline request read_of(object_id id, std::uint64_t offset, std::span<std::byte> into) {
    return {.verb = request_verb::read, .object = id, .offset = offset, .memory = into};
}
inline request put_of(object_id id, std::uint64_t offset, std::span<std::byte> bytes) {
    return {.verb = request_verb::put, .object = id, .offset = offset, .memory = bytes};
}
inline request write_of(object_id id, std::uint64_t offset, std::span<std::byte> bytes) {
    return {.verb = request_verb::write, .object = id, .offset = offset, .memory = bytes};
}

inline std::string said(const request& asked) {
    return std::string{message(asked.failure.code)} + " at block " + std::to_string(asked.failure.where.value);
}

}  // namespace ashlar::test
