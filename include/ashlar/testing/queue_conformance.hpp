#pragma once
/// What every model of QueuedDevice must do beside what every device does, as a check that any test framework can run.

#include <ashlar/concepts/transfer_queue.hpp>
#include <ashlar/testing/device_conformance.hpp>

#include <array>
#include <optional>
#include <utility>

namespace ashlar::inline v0 {

/// Checks the queues of one device. It uses the first blocks of the device, 40 at least, and destroys what they hold.
template <QueuedDevice D>
class queue_check {
  public:
    using queue = typename D::queue;

    queue_check(D& device, queue_options options, std::uint64_t patience)
        : device_{device}, options_{options}, shape_{device.geometry()}, patience_{patience} {
        renew(0);
    }

    conformance_failures run() {
        if (shape_.blocks.value < many + 8) return {"geometry: the check needs 40 blocks"};
        check_options();
        if (!failures_.empty()) return failures_;  // the others count on it
        for (const std::size_t shift : {0U, 1U, 512U}) check_many(shift);
        check_mixed_kinds();
        check_failures();
        check_little_room();
        check_without_waiting();
        check_long_transfer();
        check_sync();
        check_moves();
        check_destruction();
        return failures_;
    }

    /// So many calls of the system did these transfers cost: `many` writes begun and waited for at once.
    template <class Count>
    std::uint64_t calls_of_many(Count count) {
        auto opened = open();
        if (!opened) return 0;
        const auto before = count();
        for (std::size_t i = 0; i < many; ++i) put(*opened, transfer_kind::write, i, 1, bytes(i));
        return take(*opened, many) ? count() - before : 0;
    }

    static constexpr std::size_t many = 32;

  private:
    std::size_t size() const { return shape_.size.bytes; }

    /// Memory for one block, aligned for the device where `shift` is 0.
    static std::byte* place_in(std::vector<std::byte>& space, std::size_t block, std::size_t bytes, std::size_t shift) {
        const auto address = reinterpret_cast<std::uintptr_t>(space.data());
        return space.data() + (4096 - address % 4096) % 4096 + shift + block * bytes;
    }
    std::byte* bytes(std::size_t block, std::size_t shift = 0) { return place_in(bytes_, block, size(), shift); }
    std::byte* seen(std::size_t block, std::size_t shift = 0) { return place_in(seen_, block, size(), shift); }

    void renew(std::uint64_t seed) {
        bytes_.resize(size() * (many + 1) + 8192);
        seen_.assign(bytes_.size(), std::byte{0});
        random_bits{seed}.fill(bytes_);
    }
    void expect(bool held, std::string what) {
        if (!held) failures_.push_back(std::move(what));
    }
    void expect_same(std::size_t blocks, std::size_t shift, const char* what) {
        expect(std::equal(bytes(0, shift), bytes(0, shift) + blocks * size(), seen(0, shift)),
               std::string{what} + ": other bytes were read than were written");
    }
    void expect_device_holds(std::size_t blocks, const char* what) {
        const std::span<std::byte> all{seen(0), blocks * size()};
        expect(device_.read({{0}, {blocks}}, all).has_value(), std::string{what} + ": a blocking read failed");
        expect_same(blocks, 0, what);
    }

    std::optional<queue> open() {
        auto opened = device_.open_queue(options_);
        if (opened) return std::move(opened).value();
        failures_.push_back("a queue did not open");
        return std::nullopt;
    }

    void put(queue& q, transfer_kind kind, std::size_t slot, std::uint64_t count, std::byte* memory) {
        slots_[slot]         = {.blocks = {{slot}, {count}}, .memory = memory, .token = slot + 1, .kind = kind};
        slots_[slot].failure = errc::busy;  // of another time
        q.submit(slots_[slot]);
    }

    bool is_mine(const transfer* one) const { return one >= slots_.data() && one < slots_.data() + many; }
    void expect_mine(std::span<transfer* const> finished) {
        expect(std::all_of(finished.begin(), finished.end(), [this](const transfer* one) { return is_mine(one); }),
               "complete handed back what nobody handed in");
    }

    /// Waits for so many and notes what came back. False: something may still be in flight, and nothing else may be
    /// asked of the queue.
    [[nodiscard]] bool take(queue& q, std::size_t count, bool may_fail = false) {
        std::array<transfer*, many> finished{};
        const auto                  before = q.in_flight();
        const auto                  broken = [&](const char* what) { return expect(false, what), false; };
        if (before < count) return broken("in_flight forgot what was handed in");
        const auto done = q.complete(std::span{finished}.first(count), count);
        if (!done) return broken("complete failed");
        if (done.value() != count) return broken("complete handed back another number than it was asked for");
        expect(q.in_flight() == before - count, "in_flight does not say what was handed back");
        for (const auto* one : std::span{finished}.first(count)) {
            if (!is_mine(one)) return broken("complete handed back what nobody handed in");
            expect(one->token == static_cast<std::uint64_t>(one - slots_.data()) + 1, "a token was changed");
            if (!may_fail) expect(one->failure.code == errc::none, "a transfer failed");
        }
        return true;
    }

    void check_options() {
        queue_options none = options_;
        none.depth         = 0;
        expect(!device_.open_queue(none).has_value(), "a depth of 0 was accepted");
        auto opened = device_.open_queue(options_);
        if (!opened) return expect(false, "a queue did not open");
        expect(opened.value().depth() >= options_.depth, "a queue is less deep than was asked for");
        expect(opened.value().in_flight() == 0, "a new queue is not empty");
        expect(opened.value().depth() >= many, "the check needs a depth of 32");
    }

    void check_many(std::size_t shift) {
        renew(shift + 1);
        auto opened = open();
        if (!opened) return;
        auto& q = *opened;
        for (const auto kind : {transfer_kind::write, transfer_kind::read}) {
            for (std::size_t i = 0; i < many; ++i) {
                put(q, kind, i, 1, kind == transfer_kind::write ? bytes(i, shift) : seen(i, shift));
                expect(q.in_flight() == i + 1, "in_flight does not count what was handed in");
            }
            if (!take(q, many)) return;
            expect(q.in_flight() == 0, "something stayed in flight");
            std::uint64_t tokens = 0;
            for (const auto& slot : slots_) tokens += slot.token;
            expect(tokens == many * (many + 1) / 2, "a token was changed");
        }
        expect_same(many, shift, "32 transfers at once");
    }

    void check_mixed_kinds() {
        renew(20);
        auto opened = open();
        if (!opened) return;
        auto& q = *opened;
        for (std::size_t i = 0; i < 8; ++i) put(q, transfer_kind::write, i, 1, bytes(i));
        if (!take(q, 8)) return;
        for (std::size_t i = 0; i < 8; ++i) put(q, transfer_kind::read, i, 1, seen(i));
        for (std::size_t i = 8; i < 16; ++i) put(q, transfer_kind::write, i, 1, bytes(i));
        put(q, transfer_kind::sync, 16, 0, nullptr);
        put(q, transfer_kind::trim, 17, 2, nullptr);
        put(q, transfer_kind::trim, 19, 0, nullptr);
        put(q, transfer_kind::read, 20, 0, nullptr);
        if (!take(q, 20)) return;
        expect_same(8, 0, "reads beside writes, syncs and trims");
        expect_device_holds(16, "writes beside reads, syncs and trims");
    }

    void check_failures() {
        renew(21);
        auto opened = open();
        if (!opened) return;
        auto& q = *opened;
        put(q, transfer_kind::write, 0, 1, bytes(0));
        put(q, transfer_kind::read, 1, shape_.blocks.value, seen(0));  // begins at 1, so ends one outside
        put(q, transfer_kind::write, 2, shape_.blocks.value, bytes(0));
        put(q, transfer_kind::trim, 3, ~std::uint64_t{0}, nullptr);
        put(q, transfer_kind::write, 4, 1, bytes(4));
        if (!take(q, 5, true)) return;
        for (const std::size_t wrong : {1U, 2U, 3U})
            expect(slots_[wrong].failure == error{errc::out_of_range, {wrong}},
                   "a transfer outside did not say out_of_range at its first block");
        for (const std::size_t right : {0U, 4U})
            expect(slots_[right].failure.code == errc::none,
                   "a failure reached another transfer, or an old one stayed");
        std::copy(bytes(4), bytes(4) + size(), bytes(0) + size());
        expect(device_.read({{4}, {1}}, {seen(1), size()}).has_value() && device_.read({{0}, {1}}, {seen(0), size()}),
               "a read after failed transfers failed");
        expect_same(2, 0, "transfers beside failed ones");
    }

    void check_little_room() {
        renew(22);
        auto opened = open();
        if (!opened) return;
        auto&                    q = *opened;
        std::array<transfer*, 3> finished{};
        for (std::size_t i = 0; i < many; ++i) put(q, transfer_kind::write, i, 1, bytes(i));
        std::size_t taken = 0;
        while (taken < many) {
            const auto left = many - taken;
            const auto done = q.complete(finished, left < 3 ? left : 3);
            if (!done || done.value() == 0 || done.value() > 3)
                return expect(false, "complete did not keep to the room that it was given");
            expect_mine(std::span{finished}.first(done.value()));
            taken += done.value();
        }
        expect(q.in_flight() == 0, "something stayed in flight behind little room");
        expect_device_holds(many, "transfers handed back by threes");
    }

    void check_without_waiting() {
        renew(23);
        auto opened = open();
        if (!opened) return;
        auto& q    = *opened;
        auto  none = q.complete({}, 0);
        expect(none.has_value() && none.value() == 0, "an empty queue handed something back");
        for (std::size_t i = 0; i < 8; ++i) put(q, transfer_kind::write, i, 1, bytes(i));
        put(q, transfer_kind::sync, 8, 0, nullptr);
        put(q, transfer_kind::trim, 9, 1, nullptr);
        std::array<transfer*, many> finished{};
        std::size_t                 taken = 0;
        for (std::uint64_t calls = 0; taken < 10 && calls < patience_; ++calls) {
            const auto done = q.complete(finished, 0);
            if (!done) return expect(false, "complete failed");
            expect_mine(std::span{finished}.first(done.value()));
            taken += done.value();
        }
        expect(taken == 10, "transfers do not end unless they are waited for");
        expect_device_holds(8, "transfers that nobody waited for");
    }

    void check_long_transfer() {
        renew(24);
        auto opened = open();
        if (!opened) return;
        auto& q = *opened;
        for (const std::size_t shift : {0U, 1U}) {
            put(q, transfer_kind::write, 0, many, bytes(0, shift));
            if (!take(q, 1)) return;
            put(q, transfer_kind::read, 0, many, seen(0, shift));
            if (!take(q, 1)) return;
            expect_same(many, shift, "a transfer of 32 blocks");
        }
    }

    void check_sync() {
        renew(25);
        auto first  = open();
        auto second = open();
        if (!first || !second) return;
        auto &writes = *first, &syncs = *second;
        for (std::size_t i = 0; i < 4; ++i) put(writes, transfer_kind::write, i, 1, bytes(i));
        if (!take(writes, 4)) return;
        put(syncs, transfer_kind::sync, 4, 0, nullptr);
        if (!take(syncs, 1)) return;
        put(writes, transfer_kind::write, 5, 1, bytes(5));
        put(writes, transfer_kind::sync, 6, 0, nullptr);
        if (!take(writes, 2)) return;
        expect_device_holds(4, "writes that another queue synced");
    }

    void check_moves() {
        renew(26);
        auto opened = open();
        auto other  = open();
        if (!opened || !other) return;
        auto &first = *opened, &third = *other;
        for (std::size_t i = 0; i < 8; ++i) put(first, transfer_kind::write, i, 1, bytes(i));
        expect(first.complete({}, 0).has_value(), "complete without room failed");
        for (std::size_t i = 8; i < 16; ++i) put(first, transfer_kind::write, i, 1, bytes(i));
        auto second = std::move(first);
        expect(second.in_flight() == 16, "a moved queue forgot what is in flight");
        put(third, transfer_kind::sync, 20, 0, nullptr);
        third = std::move(second);
        expect(third.in_flight() == 16, "an assigned queue forgot what is in flight");
        if (!take(third, 16)) return;
        expect_device_holds(16, "transfers of a queue that was moved");
    }

    /// Behind the end of a queue its transfers and their memory are their owner's alone.
    void check_destruction() {
        renew(27);
        {
            auto opened = open();
            if (!opened) return;
            auto& q = *opened;
            for (std::size_t i = 0; i < 16; ++i) put(q, transfer_kind::write, i, 1, bytes(i));
            if (!take(q, 16)) return;
            for (std::size_t i = 0; i < 16; ++i) put(q, transfer_kind::read, i, 1, seen(i));
            expect(q.complete({}, 0).has_value(), "complete without room failed");
            for (std::size_t i = 16; i < many; ++i) put(q, transfer_kind::read, i, 1, seen(i));
        }
        std::fill(seen_.begin(), seen_.end(), std::byte{0x5A});
        for (auto& slot : slots_) slot = {};
        for (unsigned i = 0; i < 3; ++i) expect(device_.sync().has_value(), "a sync behind the end of a queue failed");
        expect(std::all_of(seen_.begin(), seen_.end(), [](std::byte b) { return b == std::byte{0x5A}; }),
               "a read went on behind the end of its queue");
        bool untouched = true;
        for (const auto& slot : slots_) untouched = untouched && slot.failure.code == errc::none && slot.moved == 0;
        expect(untouched, "a transfer was changed behind the end of its queue");
        expect_device_holds(16, "transfers before the end of a queue");
    }

    D&                         device_;
    queue_options              options_;
    device_geometry            shape_;
    std::uint64_t              patience_;
    std::vector<std::byte>     bytes_;
    std::vector<std::byte>     seen_;
    std::array<transfer, many> slots_{};
    conformance_failures       failures_;
};

/// After so many calls that did not wait, and brought nothing, a transfer is taken for lost.
inline constexpr std::uint64_t queue_patience = 50'000'000;

/// Runs all checks of the queues of an open device, which are opened with these options. A depth of 32 at least.
template <QueuedDevice D>
[[nodiscard]] conformance_failures queue_conformance(D& device, queue_options options = {},
                                                     std::uint64_t patience = queue_patience) {
    return queue_check<D>{device, options, patience}.run();
}

/// How many calls of the system it costs to begin 32 writes and wait for them. `count()` answers all calls so far.
template <QueuedDevice D, class Count>
[[nodiscard]] std::uint64_t queue_calls_of_32(D& device, queue_options options, Count count) {
    queue_check<D> check{device, options, queue_patience};
    return check.calls_of_many(count);
}

}  // namespace ashlar::inline v0
