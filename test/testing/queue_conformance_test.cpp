#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/testing/queue_conformance.hpp>

#include <gtest/gtest.h>

#include <string>

namespace queue_conformance_test {

using namespace ashlar;

/// A device with queues that have at most one fault, to see that the checks find it.
struct wrong_queues {
    enum class fault {
        none,
        swallows_failures,
        keeps_old_failures,
        loses_writes,
        needs_alignment,
        forgets_when_moved,
        counts_wrongly,
        ignores_the_room,
        changes_tokens,
        accepts_no_depth,
        fails_empty_trims,
        loses_a_completion,  ///< The n-th, for good.
        hands_back_a_stranger,
        fails_to_complete,  ///< At the n-th call.
        waits_for_ever,     ///< Where it is not asked to wait.
        fails_to_open,      ///< The n-th queue.
        is_shallow,
        is_not_empty,
        moves_no_bytes_back,  ///< Blocking reads of the device fail from the n-th on.
        fails_to_sync,        ///< The device's own sync, from the n-th on.
        goes_on_behind_its_end,
    };

    class queue {
      public:
        queue(memory_device& memory, fault kind, std::size_t depth) noexcept
            : memory_{&memory}, kind_{kind}, inner_{memory, depth} {}
        ~queue() {
            if (kind_ == fault::goes_on_behind_its_end) left = begun_;
        }
        queue(queue&& other) noexcept
            : memory_{other.memory_},
              kind_{other.kind_},
              inner_{std::move(other.inner_)},
              begun_{std::move(other.begun_)} {
            if (kind_ == fault::forgets_when_moved) inner_ = blocking_queue{*memory_, inner_.depth()};
        }
        queue& operator=(queue&&) noexcept = default;

        std::size_t depth() const noexcept { return kind_ == fault::is_shallow ? 8 : inner_.depth(); }
        std::size_t in_flight() const noexcept {
            if (kind_ == fault::is_not_empty && inner_.in_flight() == 0) return 1;
            return inner_.in_flight() + lost_ + (kind_ == fault::counts_wrongly && inner_.in_flight() == 3 ? 1 : 0);
        }
        void submit(transfer& t) noexcept {
            begun_.push_back({&t, t});
            inner_.submit(t);
        }

        result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
            if (kind_ == fault::ignores_the_room && finished.size() > 3) finished = finished.first(3);
            if (kind_ == fault::fails_to_complete && due()) return errc::device_failed;
            if (kind_ == fault::waits_for_ever && at_least == 0) return std::size_t{0};
            auto done = inner_.complete(finished, std::min({at_least, finished.size(), inner_.in_flight()}));
            for (auto* const one : finished.first(done.value())) {
                spoil(*one);
                std::erase_if(begun_, [&](const auto& known) { return known.first == one; });
            }
            if (kind_ == fault::hands_back_a_stranger && done.value() > 0 && due()) finished[0] = &stranger_;
            if (kind_ == fault::loses_a_completion && done.value() > 0 && due()) --done.value(), ++lost_;
            return done;
        }

      private:
        void spoil(transfer& t) noexcept {
            const bool odd = reinterpret_cast<std::uintptr_t>(t.memory) % 512 != 0;
            if (kind_ == fault::swallows_failures) t.failure = {};
            if (kind_ == fault::keeps_old_failures && t.failure.code == errc::none) t.failure = errc::busy;
            if (kind_ == fault::changes_tokens) t.token ^= 1U;
            if (kind_ == fault::needs_alignment && odd) t.failure = errc::device_failed;
            if (kind_ == fault::fails_empty_trims && t.kind == transfer_kind::trim && t.blocks.empty())
                t.failure = errc::invalid_argument;
            if (kind_ == fault::loses_writes && t.kind == transfer_kind::write && t.failure.code == errc::none)
                std::memset(memory_->bytes().data() + byte_offset(t.blocks.first, memory_->geometry().size), 0, 16);
        }

        memory_device*                              memory_;
        fault                                       kind_;
        blocking_queue<memory_device>               inner_;
        std::size_t                                 lost_ = 0;
        std::vector<std::pair<transfer*, transfer>> begun_;
        static inline transfer                      stranger_{};
    };

    static inline std::uint64_t                               nth = 1, calls = 0;
    static inline std::vector<std::pair<transfer*, transfer>> left{};  ///< What goes on without its queue.
    static bool                                               due() noexcept { return ++calls == nth; }
    static bool                                               due_from() noexcept { return ++calls >= nth; }

    memory_device& memory;
    fault          kind;

    device_geometry geometry() const noexcept { return memory.geometry(); }
    result<>        read(extent e, std::span<std::byte> in) noexcept {
               if (kind == fault::moves_no_bytes_back && due_from()) return errc::device_failed;
        return memory.read(e, in);
    }
    result<> write(extent e, std::span<const std::byte> out) noexcept { return memory.write(e, out); }
    result<> sync() noexcept {
        for (const auto& [at, begun] : std::exchange(left, {})) {
            const auto bytes = static_cast<std::size_t>(bytes_of(begun.blocks.count, memory.geometry().size));
            static_cast<void>(memory.read(begun.blocks, {begun.memory, bytes}));
            at->moved = 1;
        }
        if (kind == fault::fails_to_sync && due_from()) return errc::device_failed;
        return memory.sync();
    }
    result<>      trim(extent e) noexcept { return memory.trim(e); }
    result<queue> open_queue(queue_options options) noexcept {
        if (kind == fault::fails_to_open && options.depth != 0 && due()) return errc::device_failed;
        if (options.depth == 0 && kind != fault::accepts_no_depth) return errc::invalid_argument;
        return queue{memory, kind, options.depth == 0 ? 1 : options.depth};
    }
};
static_assert(QueuedDevice<wrong_queues>);

TEST(QueueConformance, BlockingQueuesConform) {
    for (const std::uint32_t bytes : {512U, 4096U}) {
        auto         memory = memory_device::create({bytes}, {64}).value();
        wrong_queues right{memory, wrong_queues::fault::none};
        for (const auto& failure : queue_conformance(right)) ADD_FAILURE() << failure;
        device_ref lent{right};
        for (const auto& failure : queue_conformance(lent)) ADD_FAILURE() << failure;
    }
}

TEST(QueueConformance, FindsQueuesThatDoNotConform) {
    using fault = wrong_queues::fault;
    for (const auto kind :
         {fault::swallows_failures, fault::keeps_old_failures, fault::loses_writes, fault::needs_alignment,
          fault::forgets_when_moved, fault::counts_wrongly, fault::ignores_the_room, fault::changes_tokens,
          fault::accepts_no_depth, fault::fails_empty_trims}) {
        auto         memory = memory_device::create({512}, {64}).value();
        wrong_queues wrong{memory, kind};
        EXPECT_FALSE(queue_conformance(wrong).empty()) << static_cast<int>(kind);
    }
    auto         small = memory_device::create({512}, {16}).value();
    wrong_queues right{small, fault::none};
    EXPECT_EQ(queue_conformance(right).size(), 1U) << "too few blocks for the check";
    auto         memory = memory_device::create({512}, {64}).value();
    wrong_queues shallow{memory, fault::none};
    EXPECT_EQ(queue_conformance(shallow, {.depth = 8}).size(), 1U) << "too little depth for the check";
}

TEST(QueueConformance, NamesWhatGoesWrongWhereverItDoes) {
    using fault = wrong_queues::fault;
    const struct {
        fault       kind;
        const char* said;
    } cases[] = {{fault::loses_a_completion, "complete handed back another number than it was asked for"},
                 {fault::hands_back_a_stranger, "complete handed back what nobody handed in"},
                 {fault::fails_to_complete, "complete failed"},
                 {fault::fails_to_open, "a queue did not open"},
                 {fault::moves_no_bytes_back, "a blocking read failed"},
                 {fault::fails_to_sync, "a sync behind the end of a queue failed"},
                 {fault::is_shallow, "a queue is less deep than was asked for"},
                 {fault::is_not_empty, "a new queue is not empty"},
                 {fault::waits_for_ever, "transfers do not end unless they are waited for"},
                 {fault::goes_on_behind_its_end, "a read went on behind the end of its queue"},
                 {fault::goes_on_behind_its_end, "a transfer was changed behind the end of its queue"}};
    for (const auto& one : cases) {
        bool is_said = false;
        for (wrong_queues::nth = 1; wrong_queues::nth < 200; ++wrong_queues::nth) {
            auto         memory = memory_device::create({512}, {64}).value();
            wrong_queues wrong{memory, one.kind};
            wrong_queues::calls  = 0;
            const auto failures  = queue_conformance(wrong, {}, 1000);
            const bool has_nth   = wrong_queues::calls >= wrong_queues::nth;
            const bool has_a_nth = wrong_queues::calls > 0;
            if (has_a_nth && !has_nth) break;
            EXPECT_FALSE(failures.empty()) << one.said << " at " << wrong_queues::nth;
            for (const auto& failure : failures) is_said = is_said || failure.find(one.said) != std::string::npos;
            if (!has_a_nth) break;  // it is wrong each time
        }
        EXPECT_TRUE(is_said) << one.said;
    }
    wrong_queues::nth    = 1;
    wrong_queues::calls  = 0;
    auto          memory = memory_device::create({512}, {64}).value();
    wrong_queues  none{memory, fault::fails_to_open};
    std::uint64_t reads = 0;
    const auto    count = [&] { return reads += 7; };
    EXPECT_EQ(queue_calls_of_32(none, {}, count), 0U) << "there is no queue to count for";
    wrong_queues right{memory, fault::none};
    EXPECT_EQ(queue_calls_of_32(right, {}, count), 7U);
}

TEST(QueueConformance, TheDeviceOfTheSystemConformsAsADeviceToo) {
    const std::string path = "queue_conformance_" + std::to_string(::getpid()) + ".ash";
    const auto        open = [&] { return native_device::open(path.c_str(), {.create = true, .bytes = 1U << 20U}); };
    {
        auto device = open().value();
        for (const auto& failure : device_conformance(device)) ADD_FAILURE() << failure;
    }
    for (const auto& failure : device_persistence(open)) ADD_FAILURE() << failure;
    ::unlink(path.c_str());
}

}  // namespace queue_conformance_test
