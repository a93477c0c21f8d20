#pragma once
/// Whether reads and writes of registers, by many threads at once, can be explained by one order.

#include <ashlar/config.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

namespace ashlar::inline v0 {

/// A read or write of one register: a block, say, that is always written whole.
struct register_operation {
    static constexpr std::uint64_t unanswered = std::numeric_limits<std::uint64_t>::max();

    std::uint64_t where = 0;           ///< Which register.
    std::uint64_t value = 0;           ///< Written, or read. 0 is what a register holds before its first write.
    std::uint64_t began = 0;           ///< Stamp from before the call.
    std::uint64_t ended = unanswered;  ///< Stamp from after it.
    bool          write = false;
};

/// Stamps that grow: an operation that ended before another began has the smaller ones.
/// Safe from: several threads. A stamp also orders its threads, so a race detector sees less where every call is
/// stamped than where none is.
class stamp_counter {
  public:
    [[nodiscard]] std::uint64_t next() noexcept { return next_.fetch_add(1); }

  private:
    std::atomic<std::uint64_t> next_{1};
};

/// What one thread did. Values must be unique within a register: no two writes of the same, and none of 0.
/// Safe from: its thread. Memory: 40 bytes an operation.
class operation_log {
  public:
    explicit operation_log(stamp_counter& stamps) noexcept : stamps_{stamps} {}

    /// Before the call. Answers the operation's place in this log.
    std::size_t begin_write(std::uint64_t where, std::uint64_t value) {
        ASHLAR_ASSERT(value != 0);
        operations_.push_back({where, value, stamps_.next(), register_operation::unanswered, true});
        return operations_.size() - 1;
    }
    std::size_t begin_read(std::uint64_t where) {
        operations_.push_back({where, 0, stamps_.next(), register_operation::unanswered, false});
        return operations_.size() - 1;
    }
    /// After the call. A write that is never ended may have happened or not; a read that is never ended says nothing.
    void end_write(std::size_t operation) noexcept { operations_[operation].ended = stamps_.next(); }
    void end_read(std::size_t operation, std::uint64_t value) noexcept {
        operations_[operation].value = value;
        operations_[operation].ended = stamps_.next();
    }
    /// The call was refused: it certainly did not happen, and nobody may have read its value.
    void refuse_write(std::size_t operation) noexcept { operations_[operation].value = 0; }

    [[nodiscard]] const std::vector<register_operation>& operations() const noexcept { return operations_; }

  private:
    stamp_counter&                  stamps_;
    std::vector<register_operation> operations_;
};

enum class linearizability_fault : std::uint8_t {
    written_twice,   ///< The history is of no use: two writes of one value.
    never_written,   ///< A read answered what nobody wrote.
    read_too_early,  ///< A read had ended before the write of its value began.
    no_order,        ///< Of two values each must come before the other: a stale read.
};

struct linearizability_finding {
    linearizability_fault fault{};
    std::uint64_t         where = 0;
    std::uint64_t         value = 0;
    std::uint64_t         other = 0;  ///< Of `no_order`.

    [[nodiscard]] std::string text() const {
        static const char* const texts[] = {"was written twice", "was read and never written",
                                            "was read before its write began", "and another value have no order"};
        return "register " + std::to_string(where) + ": value " + std::to_string(value) + " " +
               texts[static_cast<std::size_t>(fault)] +
               (fault == linearizability_fault::no_order ? ": " + std::to_string(other) : std::string{});
    }
};

namespace detail {

/// The write of one value with all reads of it.
struct cluster {
    std::uint64_t value     = 0;
    std::uint64_t began     = 0;  ///< Of the write.
    std::uint64_t end_min   = 0;  ///< All that follows this value comes after this stamp.
    std::uint64_t begin_max = 0;  ///< All that this value follows came before this stamp.
    bool          written   = false;

    [[nodiscard]] bool forward() const noexcept { return end_min < begin_max; }
};

/// Puts the operations of one register, sorted by value and writes first, into clusters.
template <class Report>
std::vector<cluster> gather(const register_operation* at, const register_operation* end, Report report) {
    std::vector<cluster> clusters{{0, 0, 0, 0, true}};  // What the register holds at first was written before all.
    for (; at != end; ++at) {
        auto* now = &clusters.back();
        if (now->value != at->value) {
            clusters.push_back({at->value, at->began, at->ended, at->began, at->write});
            if (!at->write) report(linearizability_fault::never_written, at->value, 0);
            continue;
        }
        if (at->write) report(linearizability_fault::written_twice, at->value, 0);
        if (at->ended < now->began && now->written) report(linearizability_fault::read_too_early, at->value, 0);
        now->end_min   = std::min(now->end_min, at->ended);
        now->begin_max = std::max(now->begin_max, at->began);
    }
    return clusters;
}

/// Reports pairs of clusters of which each must come before the other.
template <class Report>
void find_contradictions(const std::vector<cluster>& clusters, Report report) {
    std::vector<cluster> forward;
    for (const auto& one : clusters) {
        if (one.forward()) forward.push_back(one);
    }
    std::sort(forward.begin(), forward.end(), [](const cluster& a, const cluster& b) { return a.end_min < b.end_min; });
    for (std::size_t i = 1; i < forward.size(); ++i) {
        if (forward[i].end_min < forward[i - 1].begin_max)
            report(linearizability_fault::no_order, forward[i - 1].value, forward[i].value);
    }
    for (const auto& one : clusters) {
        if (one.forward()) continue;
        auto after = std::lower_bound(forward.begin(), forward.end(), one.begin_max,
                                      [](const cluster& a, std::uint64_t stamp) { return a.end_min < stamp; });
        if (after == forward.begin()) continue;
        --after;
        if (one.end_min < after->begin_max) report(linearizability_fault::no_order, after->value, one.value);
    }
}

}  // namespace detail

/// Whether the operations of each register are linearizable; empty when they are. Sound and complete for unique
/// values: it reports exactly the histories that no order explains. One finding may hide others of the same register.
///
/// A register's operations fall into clusters, a write and the reads of its value, and an order exists exactly when the
/// clusters have one. Cluster A must come before B when some operation of A ended before some of B began. Where such
/// demands form a circle, two clusters already contradict each other: take the one with the latest begin in the circle;
/// whatever precedes it by one step also follows it. So pairs are enough. Two clusters contradict each other when their
/// zones, from the earliest end to the latest begin, overlap while both run forward in time, or when one that runs
/// backward lies within one that runs forward.
/// Source: P. Gibbons, E. Korach, "Testing shared memories", SIAM Journal on Computing 26(4), 1997. That registers may
/// be checked one by one: M. Herlihy, J. Wing, "Linearizability", ACM TOPLAS 12(3), 1990.
/// Cost: O(n log n) for n operations.
[[nodiscard]] inline std::vector<linearizability_finding> check_linearizability(std::vector<register_operation> all) {
    std::erase_if(all, [](const register_operation& one) {
        return one.write ? one.value == 0 : one.ended == register_operation::unanswered;
    });
    std::sort(all.begin(), all.end(), [](const register_operation& a, const register_operation& b) {
        if (a.where != b.where) return a.where < b.where;
        if (a.value != b.value) return a.value < b.value;
        return a.write > b.write;
    });
    std::vector<linearizability_finding> findings;
    for (auto first = all.data(), end = all.data() + all.size(); first != end;) {
        auto       last   = std::find_if(first, end, [&](const auto& one) { return one.where != first->where; });
        const auto report = [&](linearizability_fault fault, std::uint64_t value, std::uint64_t other) {
            findings.push_back({fault, first->where, value, other});
        };
        detail::find_contradictions(detail::gather(first, last, report), report);
        first = last;
    }
    return findings;
}

/// The logs of all threads as one history.
[[nodiscard]] inline std::vector<register_operation> joined(const std::vector<operation_log>& logs) {
    std::vector<register_operation> all;
    for (const auto& log : logs) all.insert(all.end(), log.operations().begin(), log.operations().end());
    return all;
}

}  // namespace ashlar::inline v0
