#pragma once
/// A disk, a foreground and maintenance in one thread and an own time, for tests of throttles.

#include <ashlar/concepts/io_throttle.hpp>
#include <ashlar/testing/random_bits.hpp>
#include <ashlar/throttle/pacer.hpp>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

namespace ashlar::inline v0 {

/// A transfer takes what it takes at rest, what the bytes in flight beside it take, and a jitter without bound.
struct model_disk {
    std::uint64_t bytes_per_second = 2'000'000'000;
    double        at_rest          = 50'000;  ///< Nanoseconds of a foreground read.
    double        jitter           = 3'000;   ///< Mean of an exponential distribution.
    double        setup            = 30'000;  ///< Nanoseconds before a background transfer begins.

    [[nodiscard]] double carry(std::uint64_t bytes) const noexcept {
        return static_cast<double>(bytes) * 1e9 / static_cast<double>(bytes_per_second);
    }
};

/// Grants a fixed chunk to a fixed number at a time: what an operator who knows the disk would set.
class fixed_share {
  public:
    static constexpr bool needs_clock = false;
    fixed_share(std::uint64_t chunk, unsigned depth) noexcept : chunk_{chunk}, left_{depth} {}

    io_grant acquire(io_request request, time_point) noexcept {
        if (left_ == 0) return {0, after_release};
        --left_;
        return {std::min(request.want, chunk_), {}};
    }
    void release(std::uint64_t, time_point) noexcept { ++left_; }
    void observe(io_kind, std::uint64_t, duration, time_point) noexcept {}

  private:
    std::uint64_t chunk_;
    unsigned      left_;
};
static_assert(IoThrottle<fixed_share>);

/// Runs the foreground, one read after the other, beside `depth` movers that each ask for chunks of `want` bytes.
template <IoThrottle Throttle>
class throttle_model {
  public:
    throttle_model(Throttle& throttle, model_disk on, std::uint64_t seed, unsigned depth = 1,
                   std::uint64_t want = 1024 * 1024)
        : disk{on}, throttle_{throttle}, random_{seed}, want_{want}, movers_(depth) {}

    /// Runs for so long and forgets what was measured before.
    void run(duration lasts) {
        moved_ = chunks_ = 0;
        samples_.clear();
        longest_wait_   = {};
        const auto from = now_;
        const auto end  = now_ + lasts;
        while (now_ < end) turn(end);
        seconds_ = static_cast<double>((now_ - from).nanoseconds) / 1e9;
    }

    [[nodiscard]] double bytes_per_second() const { return static_cast<double>(moved_) / seconds_; }
    [[nodiscard]] double p99() {
        if (samples_.empty()) return 0;
        const auto place = samples_.begin() + static_cast<std::ptrdiff_t>(samples_.size() * 99 / 100);
        std::nth_element(samples_.begin(), place, samples_.end());
        return *place;
    }
    [[nodiscard]] std::uint64_t chunks() const { return chunks_; }
    [[nodiscard]] duration      longest_wait() const { return longest_wait_; }  ///< Between two grants.
    [[nodiscard]] time_point    now() const { return now_; }

    model_disk disk;
    bool       reads  = true;   ///< Whether there is a foreground.
    bool       shares = false;  ///< The movers adapt what they ask for to what they got.
    unsigned   stalls = 0;      ///< Of a million reads, how many somebody else holds up for 4 ms.
    double     think  = 0;      ///< Mean pause between its reads.

  private:
    struct mover {
        std::uint64_t bytes = 0;
        time_point    due{1};  // its chunk is done, or it may ask again
    };

    static duration whole(double nanoseconds) { return {static_cast<std::uint64_t>(nanoseconds)}; }
    double          exponential(double mean) {
                 return -mean * std::log1p(-static_cast<double>(random_.next() >> 11U) * 0x1p-53);
    }

    /// The next thing that happens, whatever it is.
    void turn(time_point end) {
        auto first = std::min_element(movers_.begin(), movers_.end(), [](auto& a, auto& b) { return a.due < b.due; });
        const auto read = reads ? read_done_ : after_release;
        now_            = std::max(now_, std::min({end, first->due, read}));
        if (first->due <= now_) return move(*first);
        if (read <= now_) finish_read();
    }

    void finish_read() {
        if (took_ > 0) {
            samples_.push_back(took_);
            throttle_.observe(io_kind::read, 4096, whole(took_), now_);
        }
        const auto pause = think > 0 ? exponential(think) : 0;
        took_            = disk.at_rest + disk.carry(in_flight_) + exponential(disk.jitter);
        if (stalls > 0 && random_.below(1'000'000) < stalls) took_ += 4e6;
        read_done_ = now_ + whole(took_ + pause);
    }

    void move(mover& one) {
        if (one.bytes > 0) {
            throttle_.release(one.bytes, now_);
            in_flight_ -= one.bytes;
            moved_ += one.bytes;
            one.bytes = 0;
            for (auto& other : movers_) {
                if (other.due == after_release) other.due = now_;
            }
        }
        const auto grant = throttle_.acquire({want_, 4096}, now_);
        if (shares) learn_share(grant);
        if (grant.bytes == 0) {
            one.due = grant.not_before;
            return;
        }
        longest_wait_ = std::max(longest_wait_, now_ - granted_at_);
        granted_at_   = now_;
        in_flight_ += grant.bytes;
        ++chunks_;
        one = {grant.bytes, now_ + whole(2 * (disk.setup + disk.carry(in_flight_)))};
    }

    /// As a move learns whose chunks overlap: all that are in flight shall be as large as each other.
    void learn_share(io_grant grant) {
        constexpr std::uint64_t least = 16 * 1024;
        if (grant.bytes == 0 && grant.not_before == after_release) {
            want_ = std::max(least, in_flight_ / 2);
        } else if (grant.bytes > 0 && grant.bytes < want_) {
            want_ = std::max(least, (in_flight_ + grant.bytes) / 2);
        } else if (grant.bytes > 0 && in_flight_ > 0) {
            want_ += want_ / 8;
        }
    }

    Throttle&           throttle_;
    random_bits         random_;
    std::uint64_t       want_;
    std::vector<mover>  movers_;
    std::vector<double> samples_;
    time_point          now_{1};
    time_point          read_done_{1};
    time_point          granted_at_{1};
    duration            longest_wait_{};
    double              took_      = 0;
    double              seconds_   = 0;
    std::uint64_t       in_flight_ = 0;
    std::uint64_t       moved_     = 0;
    std::uint64_t       chunks_    = 0;
};

/// The most that a fixed chunk and depth move while the foreground's 99th percentile stays at or below `p99`.
[[nodiscard]] inline double best_fixed(model_disk disk, double p99, std::uint64_t seed, duration lasts) {
    double best = 0;
    for (unsigned depth = 1; depth <= 8; depth *= 2) {
        for (double chunk = 16 * 1024; chunk <= 1024 * 1024; chunk *= 1.1) {
            fixed_share    throttle{static_cast<std::uint64_t>(chunk) & ~std::uint64_t{4095}, depth};
            throttle_model model{throttle, disk, seed, depth};
            model.run(lasts);
            if (model.p99() > p99) break;  // a larger chunk does not lower it
            best = std::max(best, model.bytes_per_second());
        }
    }
    return best;
}

}  // namespace ashlar::inline v0
