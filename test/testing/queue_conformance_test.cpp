#include <ashlar/device/blocking_queue.hpp>
#include <ashlar/device/device_ref.hpp>
#include <ashlar/device/memory_device.hpp>
#include <ashlar/device/native_device.hpp>
#include <ashlar/testing/queue_conformance.hpp>

#include <gtest/gtest.h>

#include <string>

namespace {

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
    };

    class queue {
      public:
        queue(memory_device& memory, fault kind, std::size_t depth) noexcept
            : memory_{&memory}, kind_{kind}, inner_{memory, depth} {}
        queue(queue&& other) noexcept : memory_{other.memory_}, kind_{other.kind_}, inner_{std::move(other.inner_)} {
            if (kind_ == fault::forgets_when_moved) inner_ = blocking_queue{*memory_, inner_.depth()};
        }
        queue& operator=(queue&&) noexcept = default;

        std::size_t depth() const noexcept { return inner_.depth(); }
        std::size_t in_flight() const noexcept {
            return inner_.in_flight() + (kind_ == fault::counts_wrongly && inner_.in_flight() == 3 ? 1 : 0);
        }
        void submit(transfer& t) noexcept { inner_.submit(t); }

        result<std::size_t> complete(std::span<transfer*> finished, std::size_t at_least) noexcept {
            if (kind_ == fault::ignores_the_room && finished.size() > 3) finished = finished.first(3);
            const auto done = inner_.complete(finished, at_least < finished.size() ? at_least : finished.size());
            for (auto* const one : finished.first(done.value())) spoil(*one);
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

        memory_device*                memory_;
        fault                         kind_;
        blocking_queue<memory_device> inner_;
    };

    memory_device& memory;
    fault          kind;

    device_geometry geometry() const noexcept { return memory.geometry(); }
    result<>        read(extent e, std::span<std::byte> in) noexcept { return memory.read(e, in); }
    result<>        write(extent e, std::span<const std::byte> out) noexcept { return memory.write(e, out); }
    result<>        sync() noexcept { return memory.sync(); }
    result<>        trim(extent e) noexcept { return memory.trim(e); }
    result<queue>   open_queue(queue_options options) noexcept {
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

}  // namespace
