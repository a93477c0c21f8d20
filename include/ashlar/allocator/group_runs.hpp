#pragma once
/// The free runs of one group: an unsorted array, and a bitmap for what the array has no room for.

#include <ashlar/allocator/bitmap_words.hpp>
#include <ashlar/allocator/length_classes.hpp>
#include <ashlar/allocator/run_search.hpp>

namespace ashlar::inline v0 {

/// Runs shorter than this may stand in the bitmap alone. A group has so few longer ones that the array holds them all.
inline constexpr std::uint32_t hidden_lengths = 64;

/// Entries of the array of a group: one for each 64 blocks, so 512 for the largest group.
[[nodiscard]] constexpr std::uint32_t runs_in_array(std::uint32_t group_blocks) noexcept {
    return (group_blocks / hidden_lengths + run_lanes) / run_lanes * run_lanes;
}
static_assert(runs_in_array(group_blocks_max) == 512 && runs_in_array(3968) == 64);

/// What is counted of a group.
struct group_state {
    std::uint16_t blocks = 0;     ///< 0: the group is not loaded.
    std::uint16_t free   = 0;     ///< Free blocks.
    std::uint16_t runs   = 0;     ///< Entries of the array that are in use; the others are spare.
    std::uint16_t hidden = 0;     ///< Free runs that stand in the bitmap alone.
    bool          exact  = true;  ///< Whether the bitmap says what is free now.
};

/// Whether a group has more runs of the lengths that were searched.
enum class others : std::uint8_t { unknown, none, some };

/// A free run, and where it was found.
struct found_run {
    group_run     run{};
    std::uint32_t at   = no_run;  ///< Its entry; `no_run` when it is hidden, or when there is none.
    others        rest = others::unknown;
};

/// One group's runs, over memory that its owner lends. A handle: copying it copies no run.
///
/// Invariants: a free run stands in the array once, or is hidden; only runs under `hidden_lengths` are hidden, and they
/// are counted by length. While none is hidden the array alone is the truth and the bitmap may be old, so that most
/// changes touch no bitmap.
class group_runs {
  public:
    /// `entries` are twice `capacity` values, `hidden` are `hidden_lengths`; `capacity` is runs_in_array of the group.
    group_runs(group_state& state, std::uint16_t* entries, std::uint32_t capacity, std::uint16_t* hidden,
               std::span<bitmap_word> words) noexcept
        : state_{&state},
          starts_{entries},
          lengths_{entries + capacity},
          hidden_{hidden},
          words_{words},
          capacity_{capacity} {}

    [[nodiscard]] std::uint32_t blocks() const noexcept { return state_->blocks; }
    [[nodiscard]] std::uint32_t free_blocks() const noexcept { return state_->free; }
    [[nodiscard]] bool          has_hidden() const noexcept { return state_->hidden != 0; }

    /// The group as its bitmap says it is now. Cost: O(1), or one pass over array and bitmap where the bitmap is old.
    [[nodiscard]] group_view view() noexcept {
        if (!state_->exact) write_words();
        return {words_, state_->blocks};
    }
    /// For the owner to fill before `load`.
    [[nodiscard]] std::span<bitmap_word> words() const noexcept { return words_; }

    /// Begins with what the words say. Precondition: 1 <= blocks <= group_blocks_max; bits past `blocks` are set.
    void load(std::uint32_t blocks) noexcept {
        state_->blocks = static_cast<std::uint16_t>(blocks);
        state_->exact  = true;
        gather();
    }
    /// Begins wholly free, whatever the words say.
    void load_empty(std::uint32_t blocks) noexcept {
        reset_runs();
        *state_ = {.blocks = static_cast<std::uint16_t>(blocks),
                   .free   = static_cast<std::uint16_t>(blocks),
                   .runs   = 1,
                   .exact  = false};
        put(0, {0, blocks});
    }
    void forget() noexcept { *state_ = {}; }

    /// A run of at least `low` and at most `high` blocks.
    [[nodiscard]] found_run find(std::uint32_t low, std::uint32_t high) const noexcept {
        const auto found  = run_search::by_length(lengths_, state_->runs, narrow(low), narrow(high - low));
        const bool hidden = has_hidden() && hides(low, high);
        if (found.at != no_run) return {run_at(found.at), found.at, found.more || hidden ? others::some : others::none};
        return hidden ? find_hidden(low, high) : found_run{};
    }
    [[nodiscard]] bool has(std::uint32_t low, std::uint32_t high) const noexcept {
        return run_search::by_length(lengths_, state_->runs, narrow(low), narrow(high - low)).at != no_run ||
               (has_hidden() && hides(low, high));
    }

    /// The longest run; empty when nothing is free.
    [[nodiscard]] found_run longest() const noexcept {
        std::uint32_t at = 0;
        for (std::uint32_t i = 1; i < state_->runs; ++i) at = lengths_[i] > lengths_[at] ? i : at;
        const std::uint32_t listed = state_->runs == 0 ? 0U : lengths_[at];
        for (std::uint32_t length = hidden_lengths - 1U; has_hidden() && length > listed; --length) {
            if (hidden_[length] != 0) return find_hidden(length, length);
        }
        return listed == 0 ? found_run{} : found_run{run_at(at), at, others::unknown};
    }

    /// The run that holds a block; empty when the block is not free.
    [[nodiscard]] found_run around(std::uint32_t block) const noexcept {
        const auto at = run_search::around(starts_, lengths_, state_->runs, narrow(block));
        if (at != no_run) return {run_at(at), at, others::unknown};
        if (!has_hidden() || is_set(words_, block)) return {};
        return {clear_run_around({words_, state_->blocks}, {block, 0}), no_run, others::unknown};
    }

    /// The first run that begins at or behind `from` and has at least `count` blocks.
    [[nodiscard]] found_run first_fit(std::uint32_t from, std::uint32_t count) const noexcept {
        if (has_hidden() && count < hidden_lengths) return first_fit_in_words(from, count);
        found_run best{};
        for (std::uint32_t i = 0; i < state_->runs; ++i) {
            if (lengths_[i] < count || starts_[i] < from) continue;
            if (best.run.count == 0 || starts_[i] < best.run.first) best = {run_at(i), i, others::unknown};
        }
        return best;
    }

    /// The free neighbours of a run that is not free: before it, and behind it.
    struct neighbours {
        found_run before{};
        found_run after{};
    };
    [[nodiscard]] neighbours beside(group_run run) const noexcept {
        const std::uint32_t end   = run.first + run.count;
        const auto          found = run_search::beside(starts_, lengths_, state_->runs, narrow(run.first), narrow(end));
        neighbours          both{};
        if (found.before != no_run) both.before = {run_at(found.before), found.before, others::unknown};
        if (found.after != no_run) both.after = {run_at(found.after), found.after, others::unknown};
        if (!has_hidden()) return both;
        if (found.before == no_run) {
            const std::uint32_t first = clear_before(words_, run.first);
            both.before.run           = {first, run.first - first};
        }
        if (found.after == no_run) both.after.run = {end, next_set(words_, end, state_->blocks) - end};
        return both;
    }

    /// Blocks of a found run come into use. Precondition: `part` lies in `whole`, and nothing changed since it was
    /// found.
    void take(const found_run& whole, group_run part) noexcept {
        const group_run left{whole.run.first, part.first - whole.run.first};
        const group_run right{part.first + part.count, whole.run.count - left.count - part.count};
        state_->free = narrow(std::uint32_t{state_->free} - part.count);
        if (keeps_words()) set_bits(words_, part);
        if (whole.at == no_run) unhide(whole.run.count);
        std::uint32_t spot = whole.at;
        for (const auto& piece : {left, right}) {
            if (piece.count == 0) continue;
            spot == no_run ? insert(piece) : put(spot, piece);
            spot = no_run;
        }
        if (spot != no_run) drop(spot);
        regather();
    }

    /// A run becomes free; answers what it is part of now. Precondition: it is not free, and `near` are its
    /// neighbours.
    group_run give(group_run run, const neighbours& near) noexcept {
        group_run whole{run.first - near.before.run.count, near.before.run.count + run.count + near.after.run.count};
        state_->free = narrow(std::uint32_t{state_->free} + run.count);
        if (keeps_words()) clear_bits(words_, run);
        if (near.before.run.count != 0 && near.before.at == no_run) unhide(near.before.run.count);
        if (near.after.run.count != 0 && near.after.at == no_run) unhide(near.after.run.count);
        if (near.before.at != no_run) {
            put(near.before.at, whole);
            if (near.after.at != no_run) drop(near.after.at);
        } else if (near.after.at != no_run) {
            put(near.after.at, whole);
        } else {
            insert(whole);
        }
        regather();
        return whole;
    }

    /// Calls `each(length)` for lengths of free runs: every length that occurs, some more than once.
    template <class Each>
    void for_each_length(Each each) const noexcept {
        for (std::uint32_t i = 0; i < state_->runs; ++i) each(std::uint32_t{lengths_[i]});
        for (std::uint32_t length = 1; has_hidden() && length < hidden_lengths; ++length) {
            if (hidden_[length] != 0) each(length);
        }
    }

  private:
    [[nodiscard]] static constexpr std::uint16_t narrow(std::uint32_t n) noexcept {
        return static_cast<std::uint16_t>(n);
    }
    [[nodiscard]] group_run     run_at(std::uint32_t i) const noexcept { return {starts_[i], lengths_[i]}; }
    [[nodiscard]] std::uint32_t half() const noexcept { return capacity_ / 2U; }

    void put(std::uint32_t i, group_run run) noexcept {
        starts_[i]  = narrow(run.first);
        lengths_[i] = narrow(run.count);
    }
    void drop(std::uint32_t i) noexcept {
        const std::uint32_t last = --state_->runs;
        put(i, run_at(last));
        put(last, {spare_start, spare_length});
    }

    /// Whether the bitmap follows this change. It must while runs are hidden, and goes on while the array is nearly
    /// full, so that a group on the border does not write its bitmap again and again.
    [[nodiscard]] bool keeps_words() noexcept {
        const bool keeps = has_hidden() || (state_->exact && state_->runs > half() + half() / 2U);
        state_->exact    = keeps;
        return keeps;
    }

    /// Once half of the array is spare it takes in what is hidden.
    void regather() noexcept {
        if (has_hidden() && state_->runs <= half()) gather();
    }

    [[gnu::cold, gnu::noinline]] void write_words() noexcept {
        set_bits(words_, {0, state_->blocks});
        if (state_->blocks % word_bits != 0) {
            words_[state_->blocks / word_bits] |=
                static_cast<bitmap_word>(~bitmap_word{0} << (state_->blocks % word_bits));
        }
        for (std::size_t w = words_for(state_->blocks); w < words_.size(); ++w) words_[w] = ~bitmap_word{0};
        for (std::uint32_t i = 0; i < state_->runs; ++i) clear_bits(words_, run_at(i));
        state_->exact = true;
    }

    /// A run that is already free in the bitmap, if that is exact, gets an entry; where there is no room for one the
    /// shortest run is hidden.
    void insert(group_run run) noexcept {
        if (state_->runs < capacity_) return put(state_->runs++, run);
        insert_into_full(run);
    }
    [[gnu::cold, gnu::noinline]] void insert_into_full(group_run run) noexcept {
        if (!state_->exact) {
            write_words();
            clear_bits(words_, run);
        }
        std::uint32_t shortest = 0;
        for (std::uint32_t i = 1; i < state_->runs; ++i) shortest = lengths_[i] < lengths_[shortest] ? i : shortest;
        if (run.count <= lengths_[shortest]) return hide(run.count);
        hide(lengths_[shortest]);
        put(shortest, run);
    }

    [[gnu::cold, gnu::noinline, nodiscard]] bool hides(std::uint32_t low, std::uint32_t high) const noexcept {
        for (std::uint32_t length = low; length <= high && length < hidden_lengths; ++length) {
            if (hidden_[length] != 0) return true;
        }
        return false;
    }
    void hide(std::uint32_t length) noexcept {
        ASHLAR_ASSERT(length < hidden_lengths);
        if (!has_hidden()) {
            for (std::uint32_t i = 0; i < hidden_lengths; ++i) hidden_[i] = 0;
        }
        ++hidden_[length];
        ++state_->hidden;
    }
    void unhide(std::uint32_t length) noexcept {
        ASHLAR_ASSERT(length < hidden_lengths && hidden_[length] != 0);
        --hidden_[length];
        --state_->hidden;
    }

    /// The first run of such a length. Precondition: one is hidden, and none has an entry.
    [[gnu::cold, gnu::noinline, nodiscard]] found_run find_hidden(std::uint32_t low,
                                                                  std::uint32_t high) const noexcept {
        found_run found{};
        for_each_clear_run(words_, 0, state_->blocks, low, [&](group_run run) noexcept {
            if (run.count < low || run.count > high) return true;
            found.run = run;
            return false;
        });
        return found;
    }
    [[nodiscard]] std::uint32_t entry_of(group_run run) const noexcept {
        return run_search::around(starts_, lengths_, state_->runs, narrow(run.first));
    }
    [[nodiscard]] found_run first_fit_in_words(std::uint32_t from, std::uint32_t count) const noexcept {
        found_run fit{};
        // A run that holds `from` begins before it, unless it begins there.
        const std::uint32_t behind =
            from > 0 && !is_set(words_, from - 1U) ? next_set(words_, from, state_->blocks) : from;
        for_each_clear_run(words_, behind, state_->blocks, count, [&](group_run run) noexcept {
            if (run.count < count) return true;
            fit = {run, entry_of(run), others::unknown};
            return false;
        });
        return fit;
    }

    void reset_runs() noexcept {
        for (std::uint32_t i = 0; i < capacity_; ++i) put(i, {spare_start, spare_length});
    }

    /// Fills the array from the words: with all runs, or with the longest.
    [[gnu::cold, gnu::noinline]] void gather() noexcept {
        reset_runs();
        std::uint32_t free = 0;
        std::uint32_t runs = 0;
        for_each_clear_run(words_, 0, state_->blocks, 1, [&](group_run run) noexcept {
            if (runs < capacity_) put(runs, run);
            free += run.count;
            ++runs;
            return true;
        });
        state_->free   = narrow(free);
        state_->hidden = 0;
        state_->runs   = narrow(runs < capacity_ ? runs : capacity_);
        if (runs > capacity_) gather_longest();
    }
    [[gnu::cold, gnu::noinline]] void gather_longest() noexcept {
        std::uint32_t room = capacity_;
        for (std::uint32_t i = 0; i < hidden_lengths; ++i) hidden_[i] = 0;
        for_each_clear_run(words_, 0, state_->blocks, 1, [&](group_run run) noexcept {
            run.count < hidden_lengths ? static_cast<void>(++hidden_[run.count]) : static_cast<void>(--room);
            return true;
        });
        std::uint32_t least = hidden_lengths;
        while (least > 1U && hidden_[least - 1U] <= room) {
            room -= hidden_[--least];
            hidden_[least] = 0;
        }
        // Of the longest that do not all fit, the first ones.
        std::uint32_t rest = least > 1U ? room : 0;
        if (rest != 0) hidden_[least - 1U] = narrow(std::uint32_t{hidden_[least - 1U]} - rest);
        for (std::uint32_t length = 1; length < least; ++length) {
            state_->hidden = narrow(std::uint32_t{state_->hidden} + hidden_[length]);
        }
        reset_runs();
        state_->runs = 0;
        for_each_clear_run(words_, 0, state_->blocks, 1, [&](group_run run) noexcept {
            const bool one_of_rest = run.count + 1U == least && rest != 0;
            if (one_of_rest) --rest;
            if (one_of_rest || run.count >= least) put(state_->runs++, run);
            return true;
        });
    }

    group_state*           state_;
    std::uint16_t*         starts_;
    std::uint16_t*         lengths_;
    std::uint16_t*         hidden_;
    std::span<bitmap_word> words_;
    std::uint32_t          capacity_;
};

}  // namespace ashlar::inline v0
