#pragma once
/// Maintenance as fast as the foreground's latency allows.

#include <ashlar/config.hpp>
#include <ashlar/throttle/latency_cap.hpp>
#include <ashlar/throttle/latency_counts.hpp>
#include <ashlar/throttle/pacer.hpp>

namespace ashlar::inline v0 {

/// Options of a latency target.
struct latency_target_options {
    std::uint32_t factor_permille = 2000;  ///< The 99th percentile may be this many thousandths of what it is at rest.
    duration      goal{};                  ///< Or exactly this long; 0: the factor decides.
    std::uint64_t chunk_max            = 1024 * 1024;      ///< Largest grant.
    std::uint64_t in_flight_max        = 8 * 1024 * 1024;  ///< Where no foreground runs, and for owners of queues.
    std::uint64_t bytes_per_second_min = 1024 * 1024;      ///< Granted whatever the foreground feels.
    duration      window               = milliseconds(20);
    std::uint64_t window_samples       = 150;  ///< A window also ends with so many. See below for four times both.
    duration      relearn_every        = milliseconds(5000);
    duration      relearn_for          = milliseconds(40);
    duration      quiet                = milliseconds(500);  ///< Without a transfer for so long, no foreground runs.
    io_kind       watched              = io_kind::read;      ///< Which transfers have the goal.
};

/// Keeps the slowest hundredth of the foreground's transfers at a goal by the bytes that it lets be in flight.
///
/// What `observe` counts is evaluated by `acquire`, at most once in a millisecond. A window that is complete moves the
/// cap one step (see `latency_cap`). Until the goal is reached for the first time windows are short, so that it is
/// found soon; then they are four times as long, as the percentile of few samples is mostly luck, and a cap that
/// follows it carries less at the same percentile. Where the goal is a multiple of what the foreground has at rest,
/// grants pause for `relearn_for` in each `relearn_every`, at most thrice as long where samples are few, and what is
/// counted meanwhile is the percentile at rest. Where nothing is counted, nobody waits, and chunks are as large as they
/// may be.
///
/// Invariants: the cap only grows while it is what limits, so that idle times do not open it for the next burst; a
/// pause ends, and outside of pauses `bytes_per_second_min` flows, so that no foreground starves maintenance. Cost of
/// `observe`: one count. Safe from: with counts that are `concurrent`, `observe` from any thread at any time; all else
/// one thread at a time. Source: a multiplicative controller with validation of the window's use, as RFC 7661 has for
/// TCP.
template <LatencyCounts Counts>
class basic_latency_target {
  public:
    static constexpr bool          needs_clock    = true;
    static constexpr bool          listens        = true;
    static constexpr bool          observes_alone = !Counts::concurrent;  ///< One thread may call `observe`.
    static constexpr std::uint64_t chunk_floor    = latency_cap::chunk_floor;

    using options = latency_target_options;

    constexpr basic_latency_target() noexcept : basic_latency_target{options{}} {}
    constexpr explicit basic_latency_target(const options& chosen) noexcept
        : options_{chosen}, cap_{{chosen.chunk_max, chosen.in_flight_max, chosen.bytes_per_second_min}} {}

    /// Precondition: least <= want. A `least` above the cap is granted when nothing is in flight.
    [[nodiscard]] constexpr io_grant acquire(io_request request, time_point now) noexcept {
        ASHLAR_ASSERT(request.least <= request.want);
        if (request.want == 0) return {};
        look(now);
        if (const auto until = learn(now); until > now) return {0, until};
        const auto least = std::max(request.least, std::min(request.want, chunk_floor));
        const auto limit = std::max({free_ ? cap_.bytes_max() : cap_.bytes(), chunk_floor, least});
        const auto room  = limit > in_flight_ ? limit - in_flight_ : 0;
        const auto chunk = std::max(least, free_ ? cap_.chunk_max() : cap_.chunk());
        auto       bytes = std::min({request.want, room, chunk});
        const bool cut   = bytes < request.want;
        bound_           = bound_ || cut;
        if (bytes < least) return {0, after_release};
        if (next_ > now) return {0, next_};
        if (const auto even = bytes & ~std::uint64_t{4095}; cut && even >= least) bytes = even;
        count_held(now);
        in_flight_ += bytes;
        held_.moved += bytes;
        return {bytes, {}};
    }

    constexpr void release(std::uint64_t bytes, time_point now) noexcept {
        ASHLAR_ASSERT(bytes <= in_flight_);
        count_held(now);
        in_flight_ -= bytes;
        if (in_flight_ > 0) return;
        if (!free_) next_ = later(now, cap_.rest_after(held_));
        held_ = {};
    }

    constexpr void observe(io_kind kind, std::uint64_t, duration took, time_point) noexcept {
        if (kind == options_.watched) counts_.count(latency_bucket(took));
    }

    /// Judges by what the other one is told, and no longer by what it is told itself; see v0::hear.
    constexpr void hear(const basic_latency_target& other) noexcept { ears_ = &other.ears(); }

    /// What the last window measured, and what was learned; zero: not yet.
    [[nodiscard]] constexpr duration      p99() const noexcept { return p99_; }
    [[nodiscard]] constexpr duration      p99_at_rest() const noexcept { return at_rest_; }
    [[nodiscard]] constexpr std::uint64_t cap() const noexcept { return cap_.bytes(); }
    [[nodiscard]] constexpr std::uint64_t in_flight() const noexcept { return in_flight_; }
    [[nodiscard]] constexpr duration      goal() const noexcept {
             if (options_.goal.nanoseconds != 0) return options_.goal;
        return {quotient_of(at_rest_.nanoseconds * options_.factor_permille, 1000)};
    }

  private:
    enum class phase : std::uint8_t { first, working, draining, settling, learning };

    static constexpr duration      look_every         = milliseconds(1);
    static constexpr std::uint64_t window_samples_min = 50;  // of fewer the percentile is the luck of one
    static constexpr unsigned      found_window_shift = 2;   // once the cap is found windows are four times as long

    constexpr void           look(time_point now) noexcept;
    constexpr time_point     learn(time_point now) noexcept;
    constexpr void           learn_from(const latency_totals& counted) noexcept;
    constexpr void           count_held(time_point now) noexcept;
    constexpr void           close_window(const latency_totals& counted, time_point now) noexcept;
    constexpr void           begin_window(time_point now) noexcept;
    constexpr latency_totals counted() const noexcept;
    constexpr const Counts&  ears() const noexcept { return ears_ != nullptr ? *ears_ : counts_; }

    options                 options_;
    Counts                  counts_{};
    const Counts*           ears_ = nullptr;  // another one's counts
    latency_totals          window_{};        // the totals when the window began
    latency_cap             cap_;
    std::uint64_t           in_flight_ = 0;
    std::uint64_t           heard_     = 0;  // samples of this window at the last look
    duration                busy_{};         // how long of this window something was in flight
    duration                p99_{};
    duration                at_rest_{};
    std::array<duration, 3> pauses_{};      // what the last three measured, the newest first
    held_bytes              held_{};        // since nothing was in flight, or the cap moved
    time_point              counted_at_{};  // up to when `held_` and `busy_` count
    time_point              next_{};        // nothing is granted before
    time_point              looked_{};
    time_point              heard_at_{};
    time_point              window_began_{};
    time_point              learn_at_{};  // when the next pause is due; in a pause, when its part ends
    phase                   phase_     = phase::first;
    std::uint8_t            learned_   = 0;      // pauses, up to three
    bool                    free_      = false;  // no foreground runs
    bool                    searching_ = true;   // the cap has not come up to the goal yet
    bool                    bound_     = false;  // in this window somebody wanted more than the cap let him have
};

/// Reads the counts when it is time to, and closes the window when it is complete.
template <LatencyCounts Counts>
constexpr void basic_latency_target<Counts>::look(time_point now) noexcept {
    if (phase_ == phase::first) {  // somebody may be there who was not heard yet
        phase_    = phase::working;
        heard_at_ = now;
        begin_window(now);
    }
    if (phase_ != phase::working || now - looked_ < look_every) return;
    looked_            = now;
    const auto counts  = counted();
    const auto samples = samples_in(counts);
    if (samples != heard_) {
        heard_    = samples;
        heard_at_ = now;
    }
    const bool was_free = free_;
    free_               = now - heard_at_ >= options_.quiet;
    if (free_ != was_free) {  // what was measured is of another time
        searching_ = true;
        next_      = {};
        return begin_window(now);
    }
    if (free_ || samples == 0) return;
    if (options_.goal.nanoseconds == 0 && now >= learn_at_) {
        phase_ = phase::draining;
        return;
    }
    const auto lasts  = now - window_began_;
    const auto longer = searching_ ? 0U : found_window_shift;
    const bool full   = samples >= options_.window_samples << longer ||
                      (lasts.nanoseconds >= options_.window.nanoseconds << longer && samples >= window_samples_min);
    if (full || lasts >= options_.quiet) close_window(counts, now);
}

/// Goes through a pause. Answers when it is worth to ask again; a time that is not after `now` means that there is no
/// pause. A pause with few samples goes on for a while.
template <LatencyCounts Counts>
constexpr time_point basic_latency_target<Counts>::learn(time_point now) noexcept {
    constexpr std::uint64_t settle_min = 1'000'000;
    constexpr std::uint64_t settle_max = 50'000'000;
    if (phase_ == phase::draining) {
        if (in_flight_ > 0) return after_release;
        phase_    = phase::settling;  // transfers that began beside the last chunk still come in
        learn_at_ = later(now, {std::clamp(p99_.nanoseconds, settle_min, settle_max)});
    }
    if (phase_ == phase::settling) {
        if (now < learn_at_) return learn_at_;
        phase_    = phase::learning;
        learn_at_ = later(now, options_.relearn_for);
        begin_window(now);
    }
    if (phase_ == phase::learning) {
        if (now < learn_at_) return learn_at_;
        const auto counts  = counted();
        const auto samples = samples_in(counts);
        const auto longest = later(window_began_, {options_.relearn_for.nanoseconds * 3});
        if (samples > 0 && samples < options_.window_samples && now < longest) {
            learn_at_ = later(now, options_.relearn_for);
            return learn_at_;
        }
        learn_from(counts);
        phase_ = phase::working;
        learn_at_ =
            later(now, {learned_ < 3 ? options_.relearn_every.nanoseconds >> 3U : options_.relearn_every.nanoseconds});
        begin_window(now);
    }
    return now;
}

/// The median of three pauses, so that an odd one moves no goal; of fewer the least. The first three follow sooner.
template <LatencyCounts Counts>
constexpr void basic_latency_target<Counts>::learn_from(const latency_totals& counted) noexcept {
    if (samples_in(counted) == 0) return;
    pauses_ = {percentile_99(counted), pauses_[0], pauses_[1]};
    if (learned_ < 3) ++learned_;
    const auto [low, high] = std::minmax(pauses_[0], pauses_[1]);
    at_rest_               = learned_ == 1 ? pauses_[0] : learned_ == 2 ? low : std::clamp(pauses_[2], low, high);
}

/// Must be called before `in_flight_` changes.
template <LatencyCounts Counts>
constexpr void basic_latency_target<Counts>::count_held(time_point now) noexcept {
    if (in_flight_ > 0) {
        const auto took = (now - counted_at_).nanoseconds;
        held_.took.nanoseconds += took;
        busy_.nanoseconds += took;
        held_.kib_nanoseconds += ((in_flight_ >> 5U) * took) >> 5U;
    }
    counted_at_ = now;
}

template <LatencyCounts Counts>
constexpr void basic_latency_target<Counts>::close_window(const latency_totals& counted, time_point now) noexcept {
    const auto lasts = now - window_began_;
    count_held(now);
    const bool often = busy_.nanoseconds >= lasts.nanoseconds >> 4U || cap_.bytes() < chunk_floor;
    p99_             = percentile_99(counted);
    if (goal().nanoseconds != 0 && busy_.nanoseconds > 0) cap_.adapt(p99_, goal(), bound_ && often);
    searching_ = p99_.nanoseconds < (searching_ ? goal().nanoseconds : goal().nanoseconds >> 1U);
    held_      = {};  // the cap that they were held under is gone
    begin_window(now);
}

template <LatencyCounts Counts>
constexpr void basic_latency_target<Counts>::begin_window(time_point now) noexcept {
    window_       = ears().totals();
    window_began_ = now;
    looked_       = now;
    heard_        = 0;
    busy_         = {};
    bound_        = false;
}

template <LatencyCounts Counts>
constexpr latency_totals basic_latency_target<Counts>::counted() const noexcept {
    auto totals = ears().totals();
    for (std::size_t bucket = 0; bucket < latency_buckets; ++bucket) totals[bucket] -= window_[bucket];
    return totals;
}

/// For stores that one thread uses; hosted/concurrent_latency_target.hpp is for several.
using latency_target = basic_latency_target<latency_counts>;
static_assert(IoThrottle<latency_target>);

}  // namespace ashlar::inline v0
