/// G5: what it costs to find and give back runs of blocks on a volume that is nearly full.
///
/// 2^24 blocks are filled to 95 %, then blocks are given back and taken in turns that keep it there. Requests
/// are geometric with a mean of 16 blocks, but every 32nd is spread evenly over the octaves from 64 to 1024. Which
/// request comes next and which allocation goes is drawn beforehand, so that every allocator serves the same stream. It
/// is served in parts, each part by one allocator after another; figures are medians over the parts, in an order that
/// turns from part to part. Time is the thread's own. The table of what is allocated belongs to the stream: its cost is
/// in everybody's time.
///
/// hole/free is the longest run of free blocks, whatever group borders it crosses, divided by all free blocks.

#include "measure.hpp"
#include "report.hpp"

#include <ashlar/allocator/run_index.hpp>

#include <boost/icl/interval_set.hpp>
#include <boost/version.hpp>

#include <array>
#include <cmath>
#include <iterator>
#include <map>
#include <set>

namespace {

using namespace ashlar;

constexpr std::uint32_t volume_blocks = 1U << 24U;
constexpr std::uint32_t target_blocks = volume_blocks / 100U * 95U;

struct held_run {
    std::uint32_t first = 0;
    std::uint32_t count = 0;  // 0: none
};

// ---- ours
// ------------------------------------------------------------------------------------------------------------

class ours {
  public:
    static constexpr const char* name = "ashlar";

    ours()
        : memory_(run_memory::bytes(groups, group_blocks_max) / sizeof(line) + 1),
          sets_(run_index::words(groups)),
          index_{run_memory{std::as_writable_bytes(std::span{memory_}), groups, group_blocks_max}, sets_} {
        for (std::uint32_t g = 0; g + 1 < groups; ++g) index_.load_empty(g, group_blocks_max);
        index_.load_empty(groups - 1, volume_blocks - (groups - 1) * group_blocks_max);
    }

    held_run allocate(std::uint32_t count) noexcept {
        const auto taken = index_.allocate(count);
        return {taken.group * group_blocks_max + taken.run.first, taken.run.count};
    }
    void free(held_run run) noexcept {
        const std::uint32_t group = run.first / group_blocks_max;
        index_.free(group, {run.first - group * group_blocks_max, run.count});
    }
    [[nodiscard]] double bytes() const { return static_cast<double>(memory_.size() * sizeof(line) + sets_.size() * 8); }

    /// Calls `each(first, count)` for free runs in order; a run may come in pieces that touch.
    template <class Each>
    void for_each_free(Each each) {
        for (std::uint32_t g = 0; g < groups; ++g) {
            const auto view = index_.view(g);
            for_each_clear_run(view.busy, 0, view.blocks, 1, [&](group_run run) {
                each(g * group_blocks_max + run.first, run.count);
                return true;
            });
        }
    }

  private:
    static constexpr std::uint32_t groups = (volume_blocks + group_blocks_max - 1) / group_blocks_max;
    struct alignas(64) line {
        std::byte bytes[64];
    };

    std::vector<line>          memory_;
    std::vector<std::uint64_t> sets_;
    run_index                  index_;
};

// ---- peers
// -----------------------------------------------------------------------------------------------------------

/// The bytes that containers of one kind hold, without what malloc adds.
template <class Tag>
struct bytes_of {
    static inline std::size_t now  = 0;
    static inline std::size_t peak = 0;
};

template <class T, class Tag>
struct counted {
    using value_type = T;
    template <class U>
    struct rebind {
        using other = counted<U, Tag>;
    };
    counted() noexcept = default;
    template <class U>
    counted(const counted<U, Tag>&) noexcept {}

    T* allocate(std::size_t count) {
        bytes_of<Tag>::now += count * sizeof(T);
        bytes_of<Tag>::peak = std::max(bytes_of<Tag>::peak, bytes_of<Tag>::now);
        return std::allocator<T>{}.allocate(count);
    }
    void deallocate(T* at, std::size_t count) noexcept {
        bytes_of<Tag>::now -= count * sizeof(T);
        std::allocator<T>{}.deallocate(at, count);
    }
    friend bool operator==(const counted&, const counted&) noexcept { return true; }
};

/// Free runs by length, then by place: best fit, lowest first.
template <class Tag>
using runs_by_length = std::set<std::pair<std::uint32_t, std::uint32_t>, std::less<>,
                                counted<std::pair<std::uint32_t, std::uint32_t>, Tag>>;

class two_trees {
  public:
    static constexpr const char* name = "two-tree best fit";

    two_trees() {
        by_place_.emplace(0, volume_blocks);
        by_length_.emplace(volume_blocks, 0);
    }

    held_run allocate(std::uint32_t count) {
        const auto fit = by_length_.lower_bound({count, 0});
        if (fit == by_length_.end()) return {};
        const auto [length, first] = *fit;
        by_length_.erase(fit);
        const auto next = by_place_.erase(by_place_.find(first));
        if (length > count) {
            by_place_.emplace_hint(next, first + count, length - count);
            by_length_.emplace(length - count, first + count);
        }
        return {first, count};
    }
    void free(held_run run) {
        auto after = by_place_.lower_bound(run.first);
        if (after != by_place_.end() && after->first == run.first + run.count) {
            run.count += after->second;
            by_length_.erase(std::pair{after->second, after->first});
            after = by_place_.erase(after);
        }
        const auto before = after == by_place_.begin() ? by_place_.end() : std::prev(after);
        if (before != by_place_.end() && before->first + before->second == run.first) {
            by_length_.erase(std::pair{before->second, before->first});
            before->second += run.count;
            by_length_.emplace(before->second, before->first);
        } else {
            by_place_.emplace_hint(after, run.first, run.count);
            by_length_.emplace(run.count, run.first);
        }
    }
    [[nodiscard]] double bytes() const { return static_cast<double>(bytes_of<two_trees>::peak); }

    template <class Each>
    void for_each_free(Each each) {
        for (const auto& [first, count] : by_place_) each(first, count);
    }

  private:
    std::map<std::uint32_t, std::uint32_t, std::less<>,
             counted<std::pair<const std::uint32_t, std::uint32_t>, two_trees>>
                              by_place_;
    runs_by_length<two_trees> by_length_;
};

struct icl_tag {};
template <class T>
struct icl_counted : counted<T, icl_tag> {
    template <class U>
    struct rebind {
        using other = icl_counted<U>;
    };
    using counted<T, icl_tag>::counted;
    icl_counted() noexcept = default;
    template <class U>
    icl_counted(const icl_counted<U>&) noexcept {}
};

/// An interval set joins what is free; as it does not know lengths, a set beside it does.
class interval_sets {
  public:
    static constexpr const char* name = "Boost.ICL best fit";

    interval_sets() {
        free_.add(interval(0, volume_blocks));
        by_length_.emplace(volume_blocks, 0);
    }

    held_run allocate(std::uint32_t count) {
        const auto fit = by_length_.lower_bound({count, 0});
        if (fit == by_length_.end()) return {};
        const auto [length, first] = *fit;
        by_length_.erase(fit);
        free_.subtract(interval(first, first + count));
        if (length > count) by_length_.emplace(length - count, first + count);
        return {first, count};
    }
    void free(held_run run) {
        const auto joined = free_.add(free_.end(), interval(run.first, run.first + run.count));
        const auto first  = joined->lower();
        const auto end    = joined->upper();
        if (first != run.first) by_length_.erase(std::pair{run.first - first, first});
        if (end != run.first + run.count) {
            by_length_.erase(std::pair{end - run.first - run.count, run.first + run.count});
        }
        by_length_.emplace(end - first, first);
    }
    [[nodiscard]] double bytes() const { return static_cast<double>(bytes_of<icl_tag>::peak); }

    template <class Each>
    void for_each_free(Each each) {
        for (const auto& run : free_) each(run.lower(), run.upper() - run.lower());
    }

  private:
    using interval = boost::icl::right_open_interval<std::uint32_t>;

    boost::icl::interval_set<std::uint32_t, std::less, interval, icl_counted> free_;
    runs_by_length<icl_tag>                                                   by_length_;
};

// ---- the stream
// ------------------------------------------------------------------------------------------------------

struct operation {
    std::uint32_t slot  = 0;
    std::uint32_t count = 0;  // 0: what is in the slot is given back
};

/// Draws operations. It counts what it asked for, so it needs no answer of any allocator.
class stream {
  public:
    explicit stream(double mean) : mean_{mean} {}

    operation next() {
        if (asked_ + upcoming_ > target_blocks) {
            const auto at = random_.below(live_.size());
            const auto op = live_[at];
            live_[at]     = live_.back();
            live_.pop_back();
            spare_.push_back(op.slot);
            asked_ -= op.count;
            return {op.slot, 0};
        }
        if (spare_.empty()) spare_.push_back(slots_++);
        const operation op{spare_.back(), upcoming_};
        spare_.pop_back();
        live_.push_back(op);
        asked_ += op.count;
        upcoming_ = draw();
        return op;
    }
    [[nodiscard]] bool          full() const { return asked_ + upcoming_ > target_blocks; }
    [[nodiscard]] std::uint32_t slots() const { return slots_; }

  private:
    [[nodiscard]] double        unit() { return static_cast<double>(random_.next() >> 11U) * 0x1p-53; }
    [[nodiscard]] std::uint32_t draw() {
        if (mean_ > 4 && random_.below(32) == 0) return static_cast<std::uint32_t>(std::exp2(6.0 + 4.0 * unit()));
        const double drawn = std::log(1.0 - unit()) / std::log(1.0 - 1.0 / mean_);
        return std::min(1024U, 1U + static_cast<std::uint32_t>(drawn));
    }

    double                     mean_;
    bench::random_numbers      random_{5};
    std::vector<operation>     live_;
    std::vector<std::uint32_t> spare_;
    std::uint32_t              slots_    = 0;
    std::uint32_t              asked_    = 0;
    std::uint32_t              upcoming_ = 16;
};

template <class Allocator>
class subject {
  public:
    /// Serves a part of the stream; answers nanoseconds of CPU for one operation.
    double serve(const std::vector<operation>& part, std::uint32_t slots) {
        held_.resize(slots);
        const double begin = bench::thread_seconds();
        for (std::size_t i = 0; i < part.size(); ++i) {
            if (i + 8 < part.size()) __builtin_prefetch(&held_[part[i + 8].slot]);
            const auto op   = part[i];
            auto&      held = held_[op.slot];
            if (op.count != 0) {
                held = allocator_.allocate(op.count);
                failures_ += held.count == 0;
            } else if (held.count != 0) {
                allocator_.free(held);
            }
        }
        return (bench::thread_seconds() - begin) / static_cast<double>(part.size()) * 1e9;
    }

    /// The longest free run and all free blocks.
    [[nodiscard]] double hole_share() {
        std::uint64_t longest = 0, all = 0, end = 0, here = 0;
        allocator_.for_each_free([&](std::uint32_t first, std::uint32_t count) {
            here    = first == end ? here + count : count;
            end     = std::uint64_t{first} + count;
            longest = std::max(longest, here);
            all += count;
        });
        free_ = all;
        return static_cast<double>(longest) / static_cast<double>(all);
    }
    [[nodiscard]] std::uint64_t failures() const { return failures_; }
    [[nodiscard]] std::uint64_t free_blocks() const { return free_; }
    [[nodiscard]] double        bytes_for_block() const { return allocator_.bytes() / volume_blocks; }

    std::vector<double> times, holes;

  private:
    Allocator             allocator_;
    std::vector<held_run> held_;
    std::uint64_t         failures_ = 0;
    std::uint64_t         free_     = 0;
};

std::vector<double> ratios(const std::vector<double>& a, const std::vector<double>& b) {
    std::vector<double> all;
    for (std::size_t i = 0; i < a.size(); ++i) all.push_back(a[i] / b[i]);
    return all;
}

struct amounts {
    std::size_t parts      = 0;
    std::size_t operations = 0;  // of a part
    std::size_t aging      = 0;  // before the first part is timed
};

template <class... Allocators>
class comparison {
  public:
    comparison(double mean, const amounts& chosen) : stream_{mean} {
        std::vector<operation> part;
        while (!stream_.full()) part.push_back(stream_.next());
        for (std::size_t i = 0; i < chosen.aging; ++i) part.push_back(stream_.next());
        each([&](auto& one) { one.serve(part, stream_.slots()); });
        for (std::size_t turn = 0; turn < chosen.parts; ++turn) {
            part.clear();
            for (std::size_t i = 0; i < chosen.operations; ++i) part.push_back(stream_.next());
            const auto serve = [&](auto& one) {
                one.times.push_back(one.serve(part, stream_.slots()));
                one.holes.push_back(one.hole_share());
            };
            turn % 2 == 0 ? each(serve) : each_backwards(serve);
        }
        served_ = chosen.parts * chosen.operations + chosen.aging;
    }

    template <class Allocator>
    [[nodiscard]] subject<Allocator>& of() {
        return std::get<subject<Allocator>>(subjects_);
    }
    [[nodiscard]] double served() const { return static_cast<double>(served_); }

  private:
    template <class Do>
    void each(Do act) {
        (act(of<Allocators>()), ...);
    }
    template <class Do>
    void each_backwards(Do act) {
        int unused = 0;
        static_cast<void>(((act(of<Allocators>()), unused) = ... = 0));
    }

    stream                             stream_;
    std::tuple<subject<Allocators>...> subjects_;
    std::size_t                        served_ = 0;
};

void report_time(const std::string& what, const std::vector<double>& us, const std::vector<double>& peer,
                 const char* peer_name, double floor, double goal) {
    bench::report({.id        = "G5",
                   .measure   = "allocate or free, 2^24 blocks, 95 % full, " + what,
                   .ours      = bench::median(us),
                   .peer      = bench::median(peer),
                   .peer_name = peer_name,
                   .unit      = "ns",
                   .direction = bench::better::lower,
                   .floor     = floor,
                   .goal      = goal,
                   .ratio     = bench::median(ratios(us, peer))});
}

void compare_mixed(const bench::settings& chosen) {
    const amounts amount = chosen.quick ? amounts{3, 200'000, 400'000} : amounts{9, 1'000'000, 2'000'000};
    comparison<ours, two_trees, interval_sets> run{16, amount};
    auto&                                      us   = run.of<ours>();
    auto&                                      tree = run.of<two_trees>();
    auto&                                      icl  = run.of<interval_sets>();
    report_time("mixed sizes", us.times, tree.times, two_trees::name, 0.15, 0.11);
    report_time("mixed sizes", us.times, icl.times, interval_sets::name, 0, 0);
    const auto served = [&](std::uint64_t failures) { return 1.0 - static_cast<double>(failures) / run.served(); };
    bench::report({.id        = "G5",
                   .measure   = "share of the requests that were served",
                   .ours      = served(us.failures()),
                   .peer      = served(tree.failures()),
                   .peer_name = two_trees::name,
                   .floor     = 1,
                   .goal      = 1});
    const double hole = bench::median(tree.holes);
    bench::report({.id        = "G5",
                   .measure   = "hole/free: longest free run by all free blocks (within 0.02)",
                   .ours      = bench::median(us.holes),
                   .peer      = hole,
                   .peer_name = two_trees::name,
                   .floor     = (hole - 0.02) / hole,
                   .goal      = (hole - 0.02) / hole});
    bench::report({.id        = "G5",
                   .measure   = "memory for each block, at most",
                   .ours      = us.bytes_for_block(),
                   .peer      = tree.bytes_for_block(),
                   .peer_name = two_trees::name,
                   .unit      = "bytes",
                   .direction = bench::better::lower,
                   .floor     = 0.25,
                   .goal      = 0.25,
                   .ratio     = us.bytes_for_block()});
    std::printf("failures: %s %ju, %s %ju, %s %ju; free blocks %ju, %ju, %ju; hole/free of ICL %.3f, bytes %.3f\n",
                ours::name, std::uintmax_t{us.failures()}, two_trees::name, std::uintmax_t{tree.failures()},
                interval_sets::name, std::uintmax_t{icl.failures()}, std::uintmax_t{us.free_blocks()},
                std::uintmax_t{tree.free_blocks()}, std::uintmax_t{icl.free_blocks()}, bench::median(icl.holes),
                icl.bytes_for_block());
}

/// Runs of two blocks in the mean: groups have more free runs than their arrays hold.
void compare_short(const bench::settings& chosen) {
    const amounts               amount = chosen.quick ? amounts{3, 100'000, 200'000} : amounts{5, 1'000'000, 2'000'000};
    comparison<ours, two_trees> run{2, amount};
    report_time("two blocks in the mean", run.of<ours>().times, run.of<two_trees>().times, two_trees::name, 0, 0);
}

}  // namespace

int main(int count, char** words) {
    const auto chosen = bench::settings_of(count, words);
    bench::version("Boost.ICL", BOOST_LIB_VERSION);
    compare_mixed(chosen);
    compare_short(chosen);
    return 0;
}
