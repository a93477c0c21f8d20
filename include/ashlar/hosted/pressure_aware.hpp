#pragma once
/// A throttle that steps back while others wait for the disk, whoever they are.

#include <ashlar/config.hpp>
#include <ashlar/hosted/pressure_file.hpp>
#include <ashlar/throttle/pacer.hpp>

#include <algorithm>

namespace ashlar::inline v0 {

/// Wraps a throttle and slows what it grants by the pressure that the rest of the system feels.
///
/// A transfer of maintenance is a wait like any other: one thread that copies is itself enough to raise the pressure of
/// a whole system to about half. So the reading is compared over a short time in which nothing was granted, once in
/// each window: what is felt then is felt by others. Where the source does not count our own transfers (the control
/// group of somebody else), `own_transfers_count = false` does without that pause and compares over the whole window.
///
/// At `slow_permille` each window halves the rate, by rests between chunks; at `stop_permille`
/// only `bytes_per_second_min` is left, in small chunks one at a time; below half of `slow_permille` each window
/// doubles it again. Where the system has no such reading, `available` says so, and all is as the inner throttle has
/// it. Cost: two readings in each window. Safe from: what the inner throttle is.
template <IoThrottle Inner, PressureSource Source = pressure_file>
class pressure_aware {
  public:
    static constexpr bool          needs_clock    = true;
    static constexpr std::uint64_t chunk_floor    = 16 * 1024;  ///< Grants at a stop; smaller ones spare nothing.
    static constexpr bool          listens        = v0::listens<Inner>;
    static constexpr bool          observes_alone = v0::observes_alone<Inner>;

    struct options {
        typename Inner::options inner{};
        Source                  source{};
        std::uint32_t           slow_permille        = 200;
        std::uint32_t           stop_permille        = 600;
        std::uint64_t           bytes_per_second_min = 1024 * 1024;         ///< Granted whatever others feel.
        duration                window               = milliseconds(2000);  ///< The kernel's own step of averages.
        duration                listen               = milliseconds(100);
        bool                    own_transfers_count  = true;
    };

    pressure_aware() noexcept : pressure_aware{options{}} {}
    explicit pressure_aware(const options& chosen) noexcept : inner_{chosen.inner}, options_{chosen} {}

    /// Precondition: least <= want.
    [[nodiscard]] io_grant acquire(io_request request, time_point now) noexcept {
        ASHLAR_ASSERT(request.least <= request.want);
        if (request.want == 0) return {};
        if (const auto until = listen(now); until > now) return {0, until};
        if (halvings_ > 0) {
            const bool one_by_one = stopped() || (in_flight_ > 0 && now - began_ >= turn_max);
            if (in_flight_ > 0 && one_by_one) return {0, after_release};
            if (next_ > now) return {0, next_};
        }
        if (stopped()) request.want = std::max(request.least, std::min(request.want, chunk_floor));
        const auto grant = inner_.acquire(request, now);
        if (in_flight_ == 0) {
            began_ = now;
            moved_ = 0;
        }
        in_flight_ += grant.bytes;
        moved_ += grant.bytes;
        return grant;
    }

    void release(std::uint64_t bytes, time_point now) noexcept {
        inner_.release(bytes, now);
        ASHLAR_ASSERT(bytes <= in_flight_);
        in_flight_ -= bytes;
        if (in_flight_ == 0) next_ = later(now, rest_after(now - began_));
    }

    void observe(io_kind kind, std::uint64_t bytes, duration took, time_point now) noexcept {
        inner_.observe(kind, bytes, took, now);
    }

    /// See v0::hear.
    void hear(const pressure_aware& other) noexcept { v0::hear(inner_, other.inner_); }

    [[nodiscard]] bool          available() const noexcept { return available_; }  ///< Of the last reading.
    [[nodiscard]] std::uint32_t pressure_permille() const noexcept { return pressure_; }
    [[nodiscard]] unsigned      halvings() const noexcept { return halvings_; }
    [[nodiscard]] Inner&        inner() noexcept { return inner_; }

  private:
    enum class phase : std::uint8_t { due, listening, waiting };
    static constexpr unsigned halvings_max = 7;
    static constexpr duration turn_max     = milliseconds(5);  // then who has several in flight rests too

    /// Compares readings when it is time to. Answers when it is worth to ask again; a time that is not after `now`
    /// means that there is no pause.
    time_point listen(time_point now) noexcept {
        if (phase_ != phase::due && now < turn_) return phase_ == phase::listening ? turn_ : now;
        if (phase_ == phase::listening) {
            judge(now);
            return now;
        }
        if (!options_.own_transfers_count && phase_ == phase::waiting) {
            judge(now);
            return now;
        }
        if (options_.own_transfers_count && available_ && in_flight_ > 0) {
            phase_ = phase::due;
            return after_release;
        }
        begin(now, options_.own_transfers_count);
        return phase_ == phase::listening ? turn_ : now;
    }

    /// Takes the first of two readings.
    void begin(time_point now, bool pauses) noexcept {
        const auto reading = options_.source.stalled();
        available_         = reading.has_value();
        if (!available_) halvings_ = 0;
        began_at_ = now;
        stalled_  = reading.value_or(duration{});
        phase_    = pauses && available_ ? phase::listening : phase::waiting;
        turn_     = later(now, phase_ == phase::listening ? options_.listen : options_.window);
    }

    /// Takes the second.
    void judge(time_point now) noexcept {
        const auto reading = options_.source.stalled();
        if (available_ && reading && *reading >= stalled_) {
            const auto lasts  = (now - began_at_).nanoseconds;
            const auto waited = reading->nanoseconds - stalled_.nanoseconds;
            pressure_         = permille_of(std::min(waited, lasts), lasts);
            if (pressure_ >= options_.stop_permille) {
                halvings_ = halvings_max;
            } else if (pressure_ >= options_.slow_permille) {
                halvings_ = std::min(halvings_ + 1, halvings_max);
            } else if (pressure_ < options_.slow_permille / 2 && halvings_ > 0) {
                --halvings_;
            }
        }
        if (!options_.own_transfers_count) return begin(now, false);
        phase_ = phase::waiting;
        turn_  = later(now, options_.window);
    }

    [[nodiscard]] duration rest_after(duration took) const noexcept {
        constexpr std::uint64_t bytes_most = std::uint64_t{1} << 32U;  // no product wraps
        constexpr std::uint64_t took_most  = std::uint64_t{1} << 40U;
        const auto              rate       = std::max(options_.bytes_per_second_min, chunk_floor);
        const auto              whole      = quotient_of(std::min(moved_, bytes_most) * nanoseconds_per_second, rate);
        const auto              longest    = whole > took.nanoseconds ? whole - took.nanoseconds : 0;
        const auto              wished     = std::min(took.nanoseconds, took_most) * ((1U << halvings_) - 1U);
        return {stopped() ? longest : std::min(wished, longest)};
    }

    [[nodiscard]] bool stopped() const noexcept {
        return halvings_ == halvings_max && pressure_ >= options_.stop_permille;
    }

    Inner         inner_;
    options       options_;
    duration      stalled_{};   // the first reading
    time_point    began_at_{};  // when it was taken
    time_point    turn_{};      // when the phase ends
    time_point    began_{};     // when the bytes in flight began to be
    time_point    next_{};      // nothing is granted before, while it is slow
    std::uint64_t in_flight_ = 0;
    std::uint64_t moved_     = 0;  // granted since nothing was in flight
    std::uint32_t pressure_  = 0;
    unsigned      halvings_  = 0;
    phase         phase_     = phase::due;
    bool          available_ = true;  // until a reading says otherwise
};

}  // namespace ashlar::inline v0
