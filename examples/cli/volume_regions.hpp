#pragma once
/// The regions of an open volume: listed, changed, used as devices, and compacted.

#include "volume.hpp"

#include <ashlar/format/region_directory.hpp>

namespace cli {

struct region_facts {
    ashlar::region_id name{};
    ashlar::extent    place{};
    std::uint64_t     gap_after = 0;  ///< Free blocks directly behind it.
    bool              pinned    = false;
    bool              own       = false;  ///< The store's.
    bool              slides    = false;  ///< It lies in parts, as a compaction was stopped.
};

struct layout_facts {
    std::vector<region_facts>   regions{};    ///< Lowest place first.
    std::vector<ashlar::extent> free_runs{};  ///< Groups joined.
    std::uint64_t               own                = 0;
    std::uint64_t               free_blocks        = 0;
    std::uint64_t               largest_run        = 0;
    std::uint64_t               smallest_run       = 0;
    std::uint64_t               average_run        = 0;
    std::uint64_t               wasted_blocks      = 0;  ///< In runs under 16.
    std::uint64_t               perfect_gain       = 0;  ///< Blocks by which the largest run would grow.
    std::uint64_t               entries            = 0;  ///< Of the indirection table.
    std::uint64_t               slid               = 0;  ///< Blocks that lie elsewhere than the directory says.
    double                      free_fragmentation = 0;
};

/// How free space lies, before and after a compaction.
struct shape_facts {
    std::uint64_t free_blocks        = 0;
    std::uint64_t largest_run        = 0;
    std::uint64_t runs               = 0;
    double        free_fragmentation = 0;
};

struct move_facts {
    ashlar::region_id   region{};
    ashlar::extent      from{};
    ashlar::block_index to{};
    bool                needed  = false;
    bool                pinned  = false;
    bool                slides  = false;  ///< In parts, as no free run holds it.
    bool                clears  = false;  ///< Objects leave the run that begins at `to` first.
    std::uint64_t       cleared = 0;      ///< Blocks of it in use, as far as can be said now.
};

struct compaction_plan_facts {
    std::vector<move_facts> lines{};  ///< One for each region that is not the store's, lowest place first.
    std::uint64_t           moves   = 0;
    std::uint64_t           blocks  = 0;  ///< Read once and written once.
    std::uint64_t           memory  = 0;
    std::uint64_t           slides  = 0;                   ///< Moves in parts.
    std::uint64_t           entries = 0, entries_max = 0;  ///< That the largest slide needs, and that memory holds.
    std::uint64_t           ways    = 0;                   ///< Moves for which objects leave the way first,
    std::uint64_t           cleared = 0;                   ///< and about how many blocks of them.
    shape_facts             before{}, after{};
};

/// Of a pass, also of one that was stopped.
struct compaction_facts {
    bool          finished = false;
    std::uint64_t regions  = 0;  ///< Moved.
    std::uint64_t slid     = 0;  ///< Of them, in parts.
    std::uint64_t blocks   = 0;
    std::uint64_t ways     = 0;  ///< Runs that objects left, so that a region could move there,
    std::uint64_t cleared  = 0;  ///< and blocks of them that moved.
    std::uint64_t gained   = 0;  ///< Blocks by which the largest free run grew.
    shape_facts   before{}, after{};
};

struct compaction_settings {
    std::optional<ashlar::region_id> only{};                ///< One region alone, whatever it gains.
    std::uint64_t                    bytes_per_second = 0;  ///< 0: 50 MiB.
};

/// One region as a device. One thread at a time; as many of these as there are threads.
class open_region {
  public:
    open_region(open_region&&) noexcept;
    ~open_region();

    [[nodiscard]] std::uint64_t blocks() const;
    [[nodiscard]] std::uint32_t block_bytes() const;
    /// Whole blocks from `first` on.
    [[nodiscard]] result<> read(std::uint64_t first, std::span<std::byte> into);
    [[nodiscard]] result<> write(std::uint64_t first, std::span<const std::byte> bytes);
    /// Makes durable what was written.
    [[nodiscard]] result<> sync();

  private:
    friend class volume_regions;

    struct core;
    explicit open_region(std::unique_ptr<core> inner) noexcept;

    std::unique_ptr<core> core_;
};

/// Precondition: the volume outlives it and stays open. Changes are durable when the volume is synced or closed.
class volume_regions {
  public:
    explicit volume_regions(volume& of);
    ~volume_regions();
    volume_regions(const volume_regions&)            = delete;
    volume_regions& operator=(const volume_regions&) = delete;

    [[nodiscard]] result<layout_facts> layout();
    [[nodiscard]] result<region_facts> find(ashlar::region_id name);
    /// Where a new region of so many blocks would lie, also on a volume that is open for reading.
    [[nodiscard]] result<ashlar::extent>    can_add(std::uint64_t blocks);
    [[nodiscard]] result<ashlar::region_id> add(std::uint32_t type, std::uint64_t blocks);
    [[nodiscard]] result<>                  remove(ashlar::region_id name);
    [[nodiscard]] result<>                  pin(ashlar::region_id name, bool pinned);
    [[nodiscard]] result<open_region>       open(ashlar::region_id name);

    /// Takes the memory of a compaction. Precondition of the calls below.
    [[nodiscard]] result<>                      prepare(const compaction_settings& settings);
    [[nodiscard]] result<compaction_plan_facts> plan();
    /// One step that copies `bytes_max` bytes at most; reasons say what the caller does next.
    [[nodiscard]] ashlar::progress step(std::uint64_t bytes_max);
    /// Undoes the move that is under way, and ends the pass.
    [[nodiscard]] ashlar::progress cancel();
    [[nodiscard]] compaction_facts compacted() const;

  private:
    struct core;

    [[nodiscard]] failure cannot_add(std::uint64_t blocks, ashlar::error error);

    std::unique_ptr<core> core_;
};

}  // namespace cli
