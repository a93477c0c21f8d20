#pragma once
/// What emptying a range of blocks is told, and what it says.

#include <ashlar/region/region_source.hpp>
#include <ashlar/vocabulary/stop_reason.hpp>
#include <ashlar/vocabulary/time_point.hpp>

namespace ashlar::inline v0 {

/// How an evacuation works; the memory it needs follows from it.
struct evacuation_options {
    bool          keeps_withheld = false;  ///< What was emptied stays withheld until `release`.
    block_count   window{1024};            ///< Blocks of an object that move at once.
    std::size_t   pieces_max     = 32;     ///< Of an object's mapping that move at once; four or more.
    std::uint64_t moves_per_sync = 16;     ///< Moves that become durable together.
    std::uint32_t races_max      = 3;
    std::uint32_t failures_max   = 2;
    bool          verify_target  = false;       ///< Read back what was copied and compare.
    std::size_t   chunk_bytes    = 256 * 1024;  ///< Of a copy; two blocks or more.
    std::size_t   read_bytes     = 64 * 1024;   ///< Of one read, on devices with queues: 1 MiB where nobody waits.
    std::size_t   window_bits    = 4096;        ///< Windows of a region whose writes are told apart.
    std::size_t   transfers_max  = 16;          ///< In flight, on devices with queues.
    std::size_t   obstacles_max  = 16;          ///< Obstacles that are named; others are counted.
};

/// Where an evacuation stands; `progress::phase` is its number.
enum class evacuation_phase : std::uint8_t {
    idle,
    withholding,  ///< From here on nothing new comes into the range.
    regions,
    tables,    ///< The object table: its records are copied into another one.
    objects,   ///< Their extents, and the nodes of their trees.
    settling,  ///< What left becomes durable, and its old place free.
};

/// What stays in a range that shall be empty.
enum class obstacle_kind : std::uint8_t {
    frames,    ///< The fixed blocks at the volume's beginning.
    table,     ///< A region of the store's own.
    region,    ///< A user's region.
    extents,   ///< Of an object.
    node,      ///< Of an object's tree.
    reserved,  ///< Blocks of an operation that has not ended, or that readers still look at.
};

/// What stays in the range.
struct evacuation_obstacle {
    obstacle_kind kind = obstacle_kind::frames;
    stop_reasons  why{};
    region_id     region{};   ///< Of a table or region.
    object_id     object{};   ///< Of extents or a node,
    logical_block logical{};  ///< and where in it.
    extent        blocks{};   ///< The part of it in the range.
    error         failure{};  ///< With `device_error`.
};

/// What an evacuation of a range would meet now.
struct evacuation_plan {
    extent        range{};
    std::uint64_t extents = 0;  ///< Moves of objects' ranges.
    std::uint64_t nodes   = 0;
    std::uint64_t regions = 0;
    std::uint64_t tables  = 0;       ///< 1 where the object table moves.
    block_count   object_blocks{};   ///< Read once and written once, as regions are.
    block_count   region_blocks{};   ///< Of whole regions, also where only a part lies in the range.
    block_count   table_blocks{};    ///< Of the table that takes the place of the object table.
    block_count   fixed{};           ///< Blocks of the range that cannot move.
    block_count   free{};            ///< Blocks of the range that are free.
    block_count   room{};            ///< What moves may take outside of the range.
    std::uint64_t obstacles    = 0;  ///< Named in `obstacles()`, as many as have a place there.
    std::size_t   memory_bytes = 0;

    [[nodiscard]] block_count to_move() const noexcept {
        return object_blocks + region_blocks + table_blocks + block_count{nodes};
    }
    /// Whether the range would be empty then. Nothing that happens meanwhile is foreseen.
    [[nodiscard]] bool succeeds() const noexcept { return obstacles == 0 && to_move() <= room; }
};

/// Of the last evacuation.
struct evacuation_result {
    extent        range{};
    bool          emptied = false;  ///< All of the range is free, on the device too.
    std::uint64_t extents = 0;      ///< Moves of objects' ranges.
    std::uint64_t nodes   = 0;
    std::uint64_t regions = 0;
    std::uint64_t tables  = 0;  ///< Moves of the object table.
    block_count   moved{};
    block_count   before{};  ///< Blocks of the range in use.
    block_count   after{};
    std::uint64_t obstacles = 0;
    stop_reasons  reasons{};
    error         failure{};
    duration      took{};  ///< 0 without a clock.
};

/// Obstacles by name, in lent memory; those that find no place are counted.
class obstacle_list {
  public:
    obstacle_list() noexcept = default;
    explicit obstacle_list(std::span<evacuation_obstacle> memory) noexcept : memory_{memory} {}

    void add(const evacuation_obstacle& one) noexcept {
        if (count_ < memory_.size()) memory_[static_cast<std::size_t>(count_)] = one;
        ++count_;
    }
    void clear() noexcept { count_ = 0; }

    [[nodiscard]] std::uint64_t                        count() const noexcept { return count_; }
    [[nodiscard]] std::span<const evacuation_obstacle> named() const noexcept {
        return memory_.first(count_ < memory_.size() ? static_cast<std::size_t>(count_) : memory_.size());
    }

  private:
    std::span<evacuation_obstacle> memory_{};
    std::uint64_t                  count_ = 0;
};

/// The table in use, the one that comes next, and the one whose place it took.
[[nodiscard]] constexpr bool is_object_table(std::uint32_t type) noexcept {
    return type == tag::objects || type == tag::next_objects || type == tag::old_objects;
}

/// Adds the fixed blocks and the store's own regions in the range but for the object table; answers how many blocks of
/// it they are. Precondition: the volume is entered.
template <class Volume>
[[nodiscard]] block_count list_fixed(Volume& volume, extent range, obstacle_list& into) noexcept {
    block_count fixed{};
    const auto  note = [&](evacuation_obstacle one, extent place) noexcept {
        one.blocks = common_part(place, range);
        if (one.blocks.empty()) return;
        fixed += one.blocks.count;
        one.why = stop_reason::pinned;
        into.add(one);
    };
    const auto frames = frames_end(volume.geometry.block);
    note({.kind = obstacle_kind::frames}, {{0}, {frames.value}});
    for (std::uint32_t i = 0; i < volume.regions.slots(); ++i) {
        const auto slot = slot_at(volume, i);
        if (is_user_region(slot.type) || is_object_table(slot.type)) continue;
        note({.kind = obstacle_kind::table, .region = name_of(slot)}, slot.place());
    }
    return fixed;
}

}  // namespace ashlar::inline v0
