#pragma once
/// Which blocks are free. Kept in memory only: opening derives it from the index, so what a killed process had reserved
/// is free again by itself.

#include "block_file.hpp"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

namespace own_engine {

/// A block goes free -> taken -> retired -> draining -> free.
///
///  - *taken*: a value owns it, or somebody is about to write it;
///  - *retired*: no value owns it any more, but the index on disk may still name it, so it keeps its bytes;
///  - *draining*: the index on disk has forgotten it, but somebody is reading it.
class free_space {
  public:
    free_space() noexcept = default;
    explicit free_space(run all) : all_{all}, blocks_(all.count), head_{all.first}, free_{all.count} {}

    /// The next free blocks behind the head of the log, at most so many; behind the last block the log goes on at the
    /// first. Values that grow in turns lie in pieces because of this.
    [[nodiscard]] std::optional<run> take_next(std::uint64_t most) {
        if (free_ == 0) return std::nullopt;
        while (!is_free(head_)) head_ = head_ + 1 == all_.end() ? all_.first : head_ + 1;
        run found{head_, 1};
        while (found.count < most && is_free(found.end())) ++found.count;
        head_ = found.end() == all_.end() ? all_.first : found.end();
        take(found);
        return found;
    }

    /// One run of exactly so many blocks, as close behind `goal` as possible; where there is none, from the first block
    /// on.
    [[nodiscard]] std::optional<run> take_near(std::uint64_t goal, std::uint64_t count) {
        std::optional<run> found;
        for_each_free([&](run free) {
            if (free.first < goal && free.end() > goal && free.end() - goal >= count) free = {goal, free.end() - goal};
            if (free.count < count) return;
            if (!found || (found->first < goal && free.first >= goal)) found = run{free.first, count};
        });
        if (found) take(*found);
        return found;
    }

    /// As many blocks as `leaving` has, at the edge of the smallest run that holds them. Not in the runs beside
    /// `leaving`: to move it there would join nothing.
    [[nodiscard]] std::optional<run> take_tight(run leaving) {
        std::optional<run> found;
        for_each_free([&](run free) {
            const bool beside = free.end() == leaving.first || free.first == leaving.end();
            if (beside || free.count < leaving.count) return;
            if (!found || free.count < found->count) found = free;
        });
        if (!found) return std::nullopt;
        found->count = leaving.count;
        take(*found);
        return found;
    }

    /// At opening: a value owns these. False when they are no data blocks, or another value's.
    [[nodiscard]] bool claim(run owned) {
        if (owned.count == 0 || owned.first < all_.first || owned.count > all_.count) return false;
        if (owned.first - all_.first > all_.count - owned.count) return false;
        for (auto i = owned.first; i < owned.end(); ++i) {
            if (!is_free(i)) return false;
        }
        take(owned);
        return true;
    }

    /// Back from *taken*: the index never named them.
    void release(run unused) {
        for (auto i = unused.first; i < unused.end(); ++i) set(i, state::free);
    }
    void retire(run old) { retired_.push_back(old); }

    [[nodiscard]] std::vector<run> take_retired() { return std::exchange(retired_, {}); }
    /// These were retired, and the index that is durable no longer names them.
    void drain(const std::vector<run>& forgotten) {
        for (const auto& old : forgotten) {
            for (auto i = old.first; i < old.end(); ++i) set(i, at(i).holds == 0 ? state::free : state::draining);
        }
    }

    /// While held, a block is not used again.
    void hold(run read) {
        for (auto i = read.first; i < read.end(); ++i) ++at(i).holds;
    }
    void unhold(run read) {
        for (auto i = read.first; i < read.end(); ++i) {
            if (--at(i).holds == 0 && at(i).now == state::draining) set(i, state::free);
        }
    }

    [[nodiscard]] run           all() const { return all_; }
    [[nodiscard]] std::uint64_t free_blocks() const { return free_; }
    /// False outside of the data blocks too.
    [[nodiscard]] bool is_free(std::uint64_t i) const {
        return i >= all_.first && i < all_.end() && blocks_[i - all_.first].now == state::free;
    }

    template <class Visit>
    void for_each_free(const Visit& visit) const {
        for (auto i = all_.first; i < all_.end(); ++i) {
            run free{i, 0};
            while (is_free(free.end())) ++free.count;
            if (free.count > 0) visit(free);
            i = free.end();
        }
    }

  private:
    enum class state : std::uint8_t { free, taken, draining };
    struct block {
        state         now   = state::free;
        std::uint32_t holds = 0;
    };

    block& at(std::uint64_t i) { return blocks_[i - all_.first]; }
    void   take(run blocks) {
          for (auto i = blocks.first; i < blocks.end(); ++i) set(i, state::taken);
    }
    void set(std::uint64_t i, state next) {
        auto& now = at(i).now;
        if (now == state::free) --free_;
        if (next == state::free) ++free_;
        now = next;
    }

    run                all_{};
    std::vector<block> blocks_;
    std::vector<run>   retired_;
    std::uint64_t      head_ = 0;
    std::uint64_t      free_ = 0;
};

}  // namespace own_engine
