#pragma once
/// Changes that become durable together. A transaction knows no meaning: blocks, runs and numbers.

#include <ashlar/concepts/relocation_host.hpp>
#include <ashlar/format/feature_row.hpp>
#include <ashlar/format/region_directory.hpp>
#include <ashlar/format/volume_totals.hpp>
#include <ashlar/volume/metadata_cache.hpp>

#include <array>

namespace ashlar::inline v0 {

/// A run that a transaction takes or gives back.
struct block_change {
    extent        blocks{};
    std::uint32_t sums     = 0;      ///< Taken data: its first checksum's place in `transaction::sums`.
    bool          data     = false;  ///< Has checksums.
    bool          fresh    = true;   ///< Taken: was free before; false for reserved space that is written now.
    bool          borrowed = false;  ///< Taken: reserved by somebody who keeps it where the transaction is dropped.
    bool          metadata = false;  ///< Given back: was a metadata block, so replay could still write it.
};

/// How the volume's totals change.
struct totals_change {
    std::int64_t  objects           = 0;
    std::int64_t  objects_with_data = 0;
    std::int64_t  extents           = 0;
    std::int32_t  classes[extents_classes]{};
    std::uint64_t records_high_water = 0;  ///< 0: as it is.
    std::uint64_t dying_head         = 0;
    bool          sets_dying_head    = false;
};

/// One change of the region directory: a region comes where `before` is empty, goes where `after` is, else it moves or
/// changes its flags.
struct region_change {
    region_slot before{};
    region_slot after{};

    [[nodiscard]] bool any() const noexcept { return before.type != 0 || after.type != 0; }
};

/// A change of the superblock. Only a transaction that locks the object table has one.
struct superblock_change {
    bool          any            = false;
    bool          migrating      = false;
    bool          swaps_objects  = false;  ///< The next object table takes the place of the old one.
    std::uint32_t manifest       = 0;
    std::uint32_t record_bytes   = 0;
    std::uint32_t inline_extents = 0;
    std::uint32_t feature        = feature_rows;  ///< The row that changes; feature_rows: none.
    feature_row   row{};
};

/// Records that no other transaction may change while they are copied.
struct record_range {
    std::uint64_t first = 0;
    std::uint64_t end   = 0;

    [[nodiscard]] bool contains(std::uint64_t record) const noexcept { return record >= first && record < end; }
};

/// A list with a bound that never grows.
template <class T>
class bounded_list {
  public:
    constexpr void lend(std::span<T> memory) noexcept {
        memory_ = memory;
        size_   = 0;
    }
    [[nodiscard]] bool        full() const noexcept { return size_ == memory_.size(); }
    [[nodiscard]] bool        empty() const noexcept { return size_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t room() const noexcept { return memory_.size() - size_; }
    void                      clear() noexcept { size_ = 0; }
    void                      push(const T& value) noexcept {
                             ASHLAR_ASSERT(!full());
                             memory_[size_++] = value;
    }
    /// So many more places, to be filled by the caller. Precondition: room() >= count.
    [[nodiscard]] std::span<T> extend(std::size_t count) noexcept {
        ASHLAR_ASSERT(room() >= count);
        size_ += count;
        return memory_.subspan(size_ - count, count);
    }
    void resize(std::size_t size) noexcept {
        ASHLAR_ASSERT(size <= memory_.size());
        size_ = size;
    }
    void                             remove(std::size_t i) noexcept { memory_[i] = memory_[--size_]; }
    [[nodiscard]] T&                 operator[](std::size_t i) noexcept { return memory_[i]; }
    [[nodiscard]] std::span<T>       all() noexcept { return memory_.first(size_); }
    [[nodiscard]] std::span<const T> all() const noexcept { return memory_.first(size_); }

  private:
    std::span<T> memory_{};
    std::size_t  size_ = 0;
};

/// What one transaction may hold; chosen at open.
struct transaction_limits {
    std::size_t shadows     = 64;    ///< Metadata blocks that all open transactions change together.
    std::size_t extents     = 256;   ///< Runs that one takes, and as many that it gives back.
    std::size_t data_blocks = 1024;  ///< Data blocks that one writes.
    std::size_t objects     = 16;    ///< Objects that one changes.
};

/// Its memory is part of the workspace; it is used again after `reset`.
class transaction_state {
  public:
    constexpr void take(arena& from, const transaction_limits& limits) noexcept {
        shadows.lend(from.take<std::uint32_t>(limits.shadows));
        taken.lend(from.take<block_change>(limits.extents));
        given.lend(from.take<block_change>(limits.extents));
        discarded.lend(from.take<block_index>(limits.shadows));
        born.lend(from.take<std::uint32_t>(limits.shadows));
        sums.lend(from.take<std::uint64_t>(limits.data_blocks));
        pieces.lend(from.take<mapped_extent>(limits.extents));
        locked.lend(from.take<object_id>(limits.objects));
    }

    void reset() noexcept {
        shadows.clear();
        taken.clear();
        given.clear();
        discarded.clear();
        born.clear();
        sums.clear();
        pieces.clear();
        locked.clear();
        totals      = {};
        region      = {};
        beside      = {};
        super       = {};
        copies      = {};
        generation  = 0;
        locks_table = false;
        may_stage   = false;
        staged      = false;
        held        = false;
        open        = false;
    }

    bounded_list<std::uint32_t>  shadows;    ///< Copies that carry its changes.
    bounded_list<block_change>   taken;      ///< Reserved runs that come into use.
    bounded_list<block_change>   given;      ///< Runs in use that retire.
    bounded_list<std::uint32_t>  born;       ///< Slots of metadata blocks that it made.
    bounded_list<block_index>    discarded;  ///< Metadata blocks that it frees.
    bounded_list<std::uint64_t>  sums;       ///< Checksums of the data that it wrote.
    bounded_list<mapped_extent>  pieces;     ///< Of the mapping that it is making.
    bounded_list<object_id>      locked;     ///< Objects that no other transaction may change.
    totals_change                totals{};
    region_change                region{};  ///< At most one transaction has one.
    std::array<region_change, 3> beside{};  ///< More of them, of what the engine keeps beside that region.
    superblock_change            super{};
    record_range                 copies{};             ///< Records that are on their way to the next object table.
    std::uint64_t                generation  = 0;      ///< The newest that it gave to a mapping.
    bool                         locks_table = false;  ///< It creates or erases objects.
    bool                         may_stage   = false;  ///< One small write and nothing else: it may wait in memory.
    bool                         staged      = false;  ///< Its newest data waits in memory for the next batch.
    bool                         held        = false;  ///< A caller keeps it open; nobody waits for it to end.
    bool                         open        = false;
};

}  // namespace ashlar::inline v0
