#pragma once
/// The indirection table in memory: a hash over the blocks that do not lie where the directory says.

#include <ashlar/format/indirection_table.hpp>
#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/vocabulary/result.hpp>
#include <ashlar/volume/arena.hpp>

namespace ashlar::inline v0 {

/// Answer of a lookup.
struct resolved_block {
    block_index logical{};
    block_index physical{};
    bool        remapped = false;
};

/// Entries in the order in which the table on the device has them, and an open-addressing hash that finds them.
///
/// Invariants: no two entries have one logical block, and none says that a block lies where it would anyway. A removed
/// entry's place is taken by the last one, here and on the device. Memory is taken once, for `capacity` entries.
/// Beside them it may know one run of blocks that lies elsewhere as a whole, without entries; none of it has one.
/// Cost: one comparison while it is empty, else one lookup a block; one for all of that run.
class indirection_map {
  public:
    constexpr void take(arena& from, std::size_t entries_max) noexcept {
        entries_            = from.take<indirection_entry>(entries_max);
        std::size_t buckets = entries_max == 0 ? 0 : 4;
        while (buckets < 2 * entries_max) buckets *= 2;
        buckets_ = from.take<std::uint32_t>(buckets);
    }

    void clear() noexcept {
        for (auto& bucket : buckets_) bucket = 0;
        size_   = 0;
        used_   = false;
        lost_   = {};
        folded_ = {};
    }

    /// Forgets all entries: from now on `run` lies behind `physical`, and what had an entry outside of it where the
    /// directory says. Cost: the memory's.
    void fold(extent run, block_index physical) noexcept {
        clear();
        folded_    = run;
        folded_to_ = physical;
        used_      = !run.empty();
    }
    /// The run without entries; empty where there is none.
    [[nodiscard]] extent folded() const noexcept { return folded_; }

    /// Whether every block lies where the directory says.
    [[nodiscard]] bool        empty() const noexcept { return !used_; }
    [[nodiscard]] std::size_t count() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return entries_.size(); }
    /// All entries, in the table's order.
    [[nodiscard]] std::span<const indirection_entry> list() const noexcept { return entries_.first(size_); }

    /// The table could not be read: from here on nobody knows where blocks of regions lie.
    void lose(error why) noexcept {
        clear();
        used_ = true;
        lost_ = why;
    }
    [[nodiscard]] error lost() const noexcept { return lost_; }

    /// Whether the block has an entry.
    [[nodiscard]] bool           has(block_index logical) const noexcept { return find(logical) != none; }
    [[nodiscard]] resolved_block resolve(block_index logical) const noexcept {
        if (folded_.contains(logical)) return {logical, folded_to_ + (logical - folded_.first), true};
        const auto at = find(logical);
        if (at == none) return {logical, logical, false};
        return {logical, entries_[at].physical, true};
    }

    /// The blocks behind the first ones of a run, as far as they follow each other; at least one of a run that has any.
    [[nodiscard]] extent resolve_run(extent logical) const noexcept {
        if (empty() || logical.empty()) return logical;
        extent run{resolve(logical.first).physical, block_count{1}};
        if (const auto known = common_part(folded_, logical); known.first == logical.first && !known.empty())
            run.count = known.count;
        while (run.count < logical.count && resolve(logical.first + run.count).physical == run.end())
            run.count += block_count{1};
        return run;
    }

    /// Says that a block lies elsewhere from now on; its own place takes the entry away.
    /// Error: too_large where the memory holds no more; `where` is how many entries it has room for.
    /// Precondition: it does not lie in the run without entries.
    result<> remap(block_index logical, block_index physical) noexcept {
        ASHLAR_ASSERT(!folded_.contains(logical));
        if (logical == physical) {
            remove(logical);
            return success();
        }
        if (const auto at = find(logical); at != none) {
            entries_[at].physical = physical;
            return success();
        }
        if (size_ == entries_.size()) return error{errc::too_large, block_index{entries_.size()}};
        entries_[size_]               = {logical, physical};
        buckets_[bucket_for(logical)] = static_cast<std::uint32_t>(++size_);
        used_                         = true;
        return success();
    }

    /// Whether there was an entry.
    bool remove(block_index logical) noexcept {
        const auto at = find(logical);
        if (at == none) return false;
        empty_bucket(bucket_for(logical));
        if (at + 1 < size_) {  // the last entry takes its place
            buckets_[bucket_for(entries_[size_ - 1].logical)] = static_cast<std::uint32_t>(at + 1);
            entries_[at]                                      = entries_[size_ - 1];
        }
        used_ = --size_ != 0 || !folded_.empty();
        return true;
    }

  private:
    static constexpr std::size_t none = ~std::size_t{0};

    [[nodiscard]] std::size_t home_of(block_index logical) const noexcept {
        return static_cast<std::size_t>(logical.value * 0x9E3779B97F4A7C15U >> 32U) & (buckets_.size() - 1);
    }
    /// The bucket that names the block's entry, or where it would be named. Half of the buckets at least are empty.
    [[nodiscard]] std::size_t bucket_for(block_index logical) const noexcept {
        auto bucket = home_of(logical);
        while (buckets_[bucket] != 0 && entries_[buckets_[bucket] - 1].logical != logical)
            bucket = (bucket + 1) & (buckets_.size() - 1);
        return bucket;
    }
    [[nodiscard]] std::size_t find(block_index logical) const noexcept {
        if (size_ == 0) return none;
        const auto named = buckets_[bucket_for(logical)];
        return named == 0 ? none : named - 1;
    }
    /// Empties a bucket; what was put behind it because it was taken moves up, so that no search ends too early.
    void empty_bucket(std::size_t hole) noexcept {
        const auto mask = buckets_.size() - 1;
        for (auto next = (hole + 1) & mask; buckets_[next] != 0; next = (next + 1) & mask) {
            const auto home = home_of(entries_[buckets_[next] - 1].logical);
            if (((next - home) & mask) < ((next - hole) & mask)) continue;  // it stands between its home and the hole
            buckets_[hole] = buckets_[next];
            hole           = next;
        }
        buckets_[hole] = 0;
    }

    std::span<indirection_entry> entries_{};
    std::span<std::uint32_t>     buckets_{};  ///< 0, or 1 + the place of an entry.
    std::size_t                  size_ = 0;
    bool                         used_ = false;
    error                        lost_{};
    extent                       folded_{};
    block_index                  folded_to_{};
};

}  // namespace ashlar::inline v0
