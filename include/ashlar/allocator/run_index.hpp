#pragma once
/// Finds the free run that fits best among many groups.

#include <ashlar/allocator/group_set.hpp>
#include <ashlar/allocator/run_memory.hpp>

namespace ashlar::inline v0 {

/// A run of a group.
struct placed_run {
    std::uint32_t         group = 0;
    group_run             run{};
    friend constexpr bool operator==(placed_run, placed_run) = default;
};

/// The free runs of the groups it holds, by length.
///
/// Groups are numbered by the owner, from 0 to the number that `run_memory` was made for; what a number stands for is
/// the owner's. Each class of lengths has the set of the groups with such a run, so a fit is found by two searches:
/// for the class, and in one group's array. A wholly free group is in no class: it is opened, the lowest first, only
/// when no other run fits, so that the end of the space stays in one piece. Every answer follows from the calls before
/// it. Not safe from two threads; two indexes over one `run_memory` are, with `group_pool` between them.
class run_index {
  public:
    run_index() noexcept = default;
    /// Holds no group. Precondition: `sets` are `words(memory.groups())`.
    run_index(const run_memory& memory, std::span<std::uint64_t> sets) noexcept
        : memory_{memory}, sets_{sets}, set_words_{group_set::words_for_groups(memory.groups())} {
        ASHLAR_ASSERT(sets.size() >= words(memory.groups()));
        for (auto& word : sets_) word = 0;
    }

    /// Words of the sets over so many groups.
    [[nodiscard]] static constexpr std::size_t words(std::uint32_t groups) noexcept {
        return (length_classes + 1U) * group_set::words_for_groups(groups);
    }

    // Groups come and go. --------------------------------------------------------------------------------------------

    /// The bitmap of a group that is not held, to be filled before `load`; a bit set: the block may not be allocated.
    [[nodiscard]] std::span<bitmap_word> words_of(std::uint32_t group) noexcept { return memory_[group].words(); }

    /// Holds a group as its words say it is. Cost: one pass over the words.
    void load(std::uint32_t group, std::uint32_t blocks) noexcept {
        memory_[group].load(blocks);
        enter(group);
    }
    /// Holds a group that is wholly free.
    void load_empty(std::uint32_t group, std::uint32_t blocks) noexcept {
        memory_[group].load_empty(blocks);
        enter(group);
    }
    /// Holds a group that another index gave up; its runs are in the memory that both share.
    void adopt(std::uint32_t group) noexcept { enter(group); }

    /// Gives a group up; its runs stay in the memory until the group is loaded again.
    void release(std::uint32_t group) noexcept {
        const auto runs = memory_[group];
        free_blocks_ -= runs.free_blocks();
        if (is_whole(runs)) return static_cast<void>(empty_groups().erase(group));
        runs.for_each_length([&](std::uint32_t length) noexcept { leave_class(length_class_of(length), group); });
    }

    /// A group as it is now; what it sees changes with the next call. Cost: O(1), or one pass where the bitmap is old.
    [[nodiscard]] group_view view(std::uint32_t group) noexcept { return memory_[group].view(); }

    /// Free blocks of the groups it holds.
    [[nodiscard]] std::uint64_t free_blocks() const noexcept { return free_blocks_; }
    [[nodiscard]] std::uint32_t free_blocks(std::uint32_t group) const noexcept { return memory_[group].free_blocks(); }

    // Runs come and go. ----------------------------------------------------------------------------------------------

    /// Takes `count` blocks in one run, from the lowest group with a run of the best class; empty when no run has so
    /// many. Cost: a search of one array; where the best class is a wide one, of up to `groups_tried`. A run that is
    /// found only in the bitmap costs a pass over its words.
    [[nodiscard, gnu::flatten]] placed_run allocate(std::uint32_t count) noexcept {
        ASHLAR_ASSERT(count >= 1);
        if (count > group_blocks_max) return {};
        const length_class own = length_class_of(count);
        length_class       fit = next_class(own);
        if (fit == own && shortest_in(own) < count) {
            if (const auto taken = from_own_class(own, count, groups_tried); taken.run.count != 0) return taken;
            fit = next_class(own + 1U);
        }
        if (fit < length_classes) return from_group(set(fit).lowest(), shortest_in(fit), longest_in(fit), count);
        if (shortest_in(own) < count) {
            if (const auto taken = from_own_class(own, count, memory_.groups()); taken.run.count != 0) return taken;
        }
        const std::uint32_t empty = empty_groups().lowest();
        if (empty == group_set::none || count > memory_.group_blocks()) return {};
        auto runs = memory_[empty];
        return {empty, cut(empty, runs, runs.longest(), {0, count})};
    }

    /// As above; where no run has `count` blocks it takes the longest, if that has `least` or more.
    [[nodiscard]] placed_run allocate(std::uint32_t count, std::uint32_t least) noexcept {
        const auto whole = allocate(count);
        if (whole.run.count != 0) return whole;
        const auto longest = find_longest();
        if (longest.run.count == 0 || longest.run.count < least) return {};
        take(longest.group, longest.run);
        return longest;
    }

    /// Takes from one group, by the rules of the concept Allocator: at the goal, else the first fit behind it, else the
    /// first of the group; without a goal the best fit; and where no run has all, the longest that has the least.
    [[nodiscard]] group_run allocate_in(std::uint32_t group, const group_request& request) noexcept {
        ASHLAR_ASSERT(request.count_min >= 1 && request.count_min <= request.count);
        auto      runs  = memory_[group];
        found_run found = {};
        if (request.near_goal && request.goal < runs.blocks()) {
            found                   = runs.around(request.goal);
            const std::uint32_t end = found.run.first + found.run.count;
            if (found.run.count != 0 && end - request.goal >= request.count_min)
                return cut(group, runs, found, {request.goal, smaller(end - request.goal, request.count)});
            found = runs.first_fit(request.goal, request.count);
        }
        if (found.run.count == 0)
            found = request.near_goal ? runs.first_fit(0, request.count) : best_in(runs, request.count);
        if (found.run.count == 0) found = runs.longest();
        if (found.run.count < request.count_min) return {};
        return cut(group, runs, found, {found.run.first, smaller(found.run.count, request.count)});
    }

    /// Takes a run that the caller knows to be free. Precondition: it is.
    void take(std::uint32_t group, group_run run) noexcept {
        auto       runs  = memory_[group];
        const auto whole = runs.around(run.first);
        ASHLAR_ASSERT(whole.run.count != 0 && run.first + run.count <= whole.run.first + whole.run.count);
        cut(group, runs, whole, run);
    }

    /// A run becomes free and joins its free neighbours; answers what it is part of then. Precondition: it is not free,
    /// in a group that is held.
    [[gnu::flatten]] group_run free(std::uint32_t group, group_run run) noexcept {
        auto       runs = memory_[group];
        const auto near = runs.beside(run);
        ASHLAR_ASSERT(run.count >= 1 && run.first + run.count <= runs.blocks());
        ASHLAR_ASSERT(std::uint32_t{run.count} + runs.free_blocks() <= runs.blocks());
        const auto whole = runs.give(run, near);
        free_blocks_ += run.count;
        const length_class now = length_class_of(whole.count);
        for (const std::uint32_t gone : {near.before.run.count, near.after.run.count}) {
            if (gone == 0 || length_class_of(gone) == now || has_class(runs, length_class_of(gone))) continue;
            leave_class(length_class_of(gone), group);
        }
        if (is_whole(runs)) {
            leave_class_if_there(now, group);
            empty_groups().insert(group);
        } else {
            enter_class(now, group);
        }
        return whole;
    }

    /// The blocks of the longest run. Cost: a search of each group that has a run of the longest class.
    [[nodiscard]] std::uint32_t largest() const noexcept { return find_longest().run.count; }
    [[nodiscard]] std::uint32_t largest(std::uint32_t group) const noexcept {
        return memory_[group].longest().run.count;
    }

    // Empty groups. --------------------------------------------------------------------------------------------------

    /// Gives up the lowest wholly free group, for another index to adopt; `group_set::none` when it holds none.
    [[nodiscard]] std::uint32_t release_empty() noexcept {
        const std::uint32_t group = empty_groups().lowest();
        if (group != group_set::none) release(group);
        return group;
    }

  private:
    static constexpr std::uint32_t groups_tried = 8;  // of a wide class, before a longer run is cut

    [[nodiscard]] static constexpr std::uint32_t smaller(std::uint32_t a, std::uint32_t b) noexcept {
        return a < b ? a : b;
    }
    [[nodiscard]] group_set set(length_class c) const noexcept {
        return {sets_.data() + c * set_words_, memory_.groups()};
    }
    [[nodiscard]] group_set empty_groups() const noexcept { return set(length_classes); }

    /// Only a group of full size counts: a short last group would be opened for requests that it cannot hold.
    [[nodiscard]] bool is_whole(const group_runs& runs) const noexcept {
        return runs.free_blocks() == memory_.group_blocks();
    }

    /// The first class from `c` on that has a group; `length_classes` when none has.
    [[nodiscard]] length_class next_class(length_class c) const noexcept {
        if (c >= length_classes) return length_classes;
        std::uint64_t some = classes_[c / 64U] >> (c % 64U) << (c % 64U);
        for (std::uint32_t w = c / 64U;; some = classes_[w]) {
            if (some != 0) return w * 64U + static_cast<std::uint32_t>(std::countr_zero(some));
            if (++w == class_words) return length_classes;
        }
    }

    void enter_class(length_class c, std::uint32_t group) noexcept {
        set(c).insert(group);
        classes_[c / 64U] |= std::uint64_t{1} << (c % 64U);
    }
    void leave_class(length_class c, std::uint32_t group) noexcept {
        if (set(c).erase(group)) classes_[c / 64U] &= ~(std::uint64_t{1} << (c % 64U));
    }
    void leave_class_if_there(length_class c, std::uint32_t group) noexcept {
        if (set(c).contains(group)) leave_class(c, group);
    }
    [[nodiscard]] static bool has_class(const group_runs& runs, length_class c) noexcept {
        return runs.has(shortest_in(c), longest_in(c));
    }

    void enter(std::uint32_t group) noexcept {
        const auto runs = memory_[group];
        free_blocks_ += runs.free_blocks();
        if (is_whole(runs)) return empty_groups().insert(group);
        runs.for_each_length([&](std::uint32_t length) noexcept { enter_class(length_class_of(length), group); });
    }

    /// Takes the front of a run of `low` to `high` blocks; empty when the group has none.
    [[nodiscard]] placed_run from_group(std::uint32_t group, std::uint32_t low, std::uint32_t high,
                                        std::uint32_t count) noexcept {
        auto runs  = memory_[group];
        auto found = runs.find(low, high);
        if (found.run.count == 0) return {};
        if (low == count && shortest_in(length_class_of(low)) != low) found.rest = others::unknown;
        return {group, cut(group, runs, found, {found.run.first, count})};
    }
    [[nodiscard, gnu::noinline]] placed_run from_own_class(length_class own, std::uint32_t count,
                                                           std::uint32_t tries) noexcept {
        const auto    groups = set(own);
        std::uint32_t group  = groups.lowest();
        for (; group != group_set::none && tries > 0; --tries) {
            const auto taken = from_group(group, count, longest_in(own), count);
            if (taken.run.count != 0) return taken;
            group = group + 1U < memory_.groups() ? groups.lowest_from(group + 1U) : group_set::none;
        }
        return {};
    }
    [[nodiscard]] found_run best_in(const group_runs& runs, std::uint32_t count) const noexcept {
        if (count > runs.blocks()) return {};
        for (length_class c = length_class_of(count); c < length_classes; c = next_class(c + 1U)) {
            const std::uint32_t low   = shortest_in(c) < count ? count : shortest_in(c);
            const auto          found = runs.find(low, longest_in(c));
            if (found.run.count != 0) return found;
        }
        return is_whole(runs) ? runs.longest() : found_run{};
    }

    [[nodiscard]] placed_run find_longest() const noexcept {
        placed_run longest{};
        if (const auto open = empty_groups().lowest(); open != group_set::none) {
            longest = {open, memory_[open].longest().run};
        }
        std::uint32_t w = class_words;
        while (w > 0 && classes_[w - 1U] == 0) --w;
        if (w == 0) return longest;
        const auto groups = set(w * 64U - 1U - static_cast<std::uint32_t>(std::countl_zero(classes_[w - 1U])));
        for (std::uint32_t group = groups.lowest(); group != group_set::none;) {
            const auto found = memory_[group].longest().run;
            if (found.count > longest.run.count) longest = {group, found};
            group = group + 1U < memory_.groups() ? groups.lowest_from(group + 1U) : group_set::none;
        }
        return longest;
    }

    /// Takes `part` out of a run and keeps the classes true.
    group_run cut(std::uint32_t group, group_runs& runs, const found_run& whole, group_run part) noexcept {
        const bool was_whole = is_whole(runs);
        runs.take(whole, part);
        free_blocks_ -= part.count;
        const std::uint32_t left  = part.first - whole.run.first;
        const std::uint32_t right = whole.run.count - left - part.count;
        const length_class  was   = length_class_of(whole.run.count);
        if (was_whole) {
            empty_groups().erase(group);
        } else if (whole.rest == others::none || (whole.rest == others::unknown && !has_class(runs, was))) {
            leave_class(was, group);
        }
        if (left != 0) enter_class(length_class_of(left), group);
        if (right != 0) enter_class(length_class_of(right), group);
        return part;
    }

    static constexpr std::uint32_t class_words = (length_classes + 63U) / 64U;

    run_memory               memory_{};
    std::span<std::uint64_t> sets_{};
    std::size_t              set_words_   = 0;
    std::uint64_t            free_blocks_ = 0;
    std::uint64_t            classes_[class_words]{};
};

}  // namespace ashlar::inline v0
