#pragma once
/// The disk of a simulation: it takes time, fails, loses power, and puts all that was asked of it into one number.

#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/any_device.hpp>
#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/manual_clock.hpp>
#include <ashlar/testing/order_checker.hpp>
#include <ashlar/testing/scheduled.hpp>

namespace ashlar::inline v0 {

/// One number for a sequence of numbers.
class running_hash {
  public:
    void add(std::uint64_t number) noexcept { value_ = random_bits{value_ ^ number}.next(); }
    void add(std::span<const std::byte> bytes) noexcept { add(xxh3_64(bytes)); }
    template <class T>
    void add(const result<T>& answer) noexcept {
        add(answer ? 0 : std::uint64_t{1} + static_cast<std::uint64_t>(answer.error().code) * 2);
        if (!answer) add(answer.error().where.value);
    }
    [[nodiscard]] std::uint64_t value() const noexcept { return value_; }

  private:
    std::uint64_t value_ = 0;
};

/// Any device, with all calls and answers in one number, and a clock that goes on with each: half a millisecond for a
/// sync, 50 microseconds for another call and 2 more for each block.
template <BlockDevice Inner>
class traced_device {
  public:
    traced_device(Inner& inner, manual_clock clock, running_hash& hash) noexcept
        : inner_{inner}, clock_{std::move(clock)}, hash_{hash} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return inner_.geometry(); }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        auto done = note(transfer_kind::read, e, inner_.read(e, in));
        if (done) hash_.add(in);
        return done;
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        hash_.add(out);
        return note(transfer_kind::write, e, inner_.write(e, out));
    }
    [[nodiscard]] result<> sync() noexcept { return note(transfer_kind::sync, {}, inner_.sync()); }
    [[nodiscard]] result<> trim(extent e) noexcept { return note(transfer_kind::trim, e, inner_.trim(e)); }

    [[nodiscard]] std::uint64_t calls() const noexcept { return calls_; }

  private:
    result<> note(transfer_kind kind, extent e, result<> done) noexcept {
        ++calls_;
        clock_.advance({kind == transfer_kind::sync ? 500'000 : 50'000 + 2'000 * e.count.value});
        hash_.add(static_cast<std::uint64_t>(kind));
        hash_.add(e.first.value);
        hash_.add(e.count.value);
        hash_.add(done);
        return done;
    }

    Inner&        inner_;
    manual_clock  clock_;
    running_hash& hash_;
    std::uint64_t calls_ = 0;
};

/// The parts, from the medium up. `top` is what the store is given.
class simulated_disk {
  public:
    /// `watch_order`: an order_checker watches; it understands the ring journal.
    simulated_disk(memory_device& medium, trim_leaves trimmed, bool watch_order, manual_clock clock, running_hash& hash)
        : cut_{medium, trimmed},
          checker_{cut_},
          below_{watch_order ? any_device{checker_} : any_device{cut_}},
          faults_{below_},
          traced_{faults_, std::move(clock), hash},
          yielding_{traced_},
          watched_{watch_order} {}

    [[nodiscard]] power_cut_device<memory_device>& cut() noexcept { return cut_; }
    [[nodiscard]] faulty_device<any_device>&       faults() noexcept { return faults_; }
    [[nodiscard]] auto&                            slow() noexcept { return yielding_; }
    [[nodiscard]] any_device                       top() noexcept { return any_device{yielding_}; }
    [[nodiscard]] std::uint64_t                    calls() const noexcept { return traced_.calls(); }

    /// Power goes, if it has not yet, and comes back with one of the states that this may leave.
    void restart(std::uint64_t seed) {
        faults_.heal();
        const auto choices = crash_choices(cut_, {.random_max = 4, .single_max = 4, .tears_max = 4, .seed = seed});
        cut_.restart(choices[static_cast<std::size_t>(random_bits{seed}.below(choices.size()))]);
        if (watched_) checker_.restarted();
    }

    /// What the watchers have seen that must not be; empty when all is well.
    [[nodiscard]] std::string objection() const {
        if (watched_) {
            const auto broken = checker_.violations();
            if (!broken.empty()) return broken.front();
        }
        return yielding_.meetings().empty() ? std::string{} : yielding_.meetings().front();
    }

  private:
    power_cut_device<memory_device>                cut_;
    order_checker<power_cut_device<memory_device>> checker_;
    any_device                                     below_;
    faulty_device<any_device>                      faults_;
    traced_device<faulty_device<any_device>>       traced_;
    yielding_device<decltype(traced_)>             yielding_;
    bool                                           watched_;
};

}  // namespace ashlar::inline v0
