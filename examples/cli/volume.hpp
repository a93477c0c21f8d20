#pragma once
/// The store as this program composes it, behind a few translation units: its policies are chosen once.

#include "failure.hpp"

#include <ashlar/concepts/journal.hpp>
#include <ashlar/concepts/relocation_host.hpp>
#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/little_endian.hpp>
#include <ashlar/vocabulary/progress.hpp>
#include <ashlar/vocabulary/volume_id.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cli {

/// What an object of this program is for; kept in its attributes, so that what an interrupted command left behind is
/// known and can go.
enum class object_tag : std::uint32_t {
    none     = 0,
    file     = ashlar::tag_of("FILE"),  ///< Bytes of an imported file.
    index    = ashlar::tag_of("CATL"),  ///< A catalogue.
    filler   = ashlar::tag_of("FILL"),  ///< Made by `age`, of no value.
    workload = ashlar::tag_of("WORK"),  ///< Belongs to the demonstration's foreground.
};

struct object_facts {
    ashlar::object_id id{};
    std::uint64_t     size    = 0;
    std::uint64_t     blocks  = 0;
    std::uint64_t     extents = 0;
    object_tag        tag     = object_tag::none;
};

struct volume_facts {
    std::string       label{};
    ashlar::volume_id id{};
    std::uint32_t     block_bytes      = 0;
    std::uint64_t     blocks           = 0;
    std::uint64_t     free_blocks      = 0;
    std::uint64_t     available_blocks = 0;  ///< Without what is kept for the store itself.
    std::uint64_t     objects          = 0;
    std::uint64_t     groups           = 0;
    std::uint64_t     journal_blocks   = 0;
    std::uint64_t     epoch            = 0;
    std::uint64_t     sequence         = 0;
    std::uint64_t     created          = 0;  ///< Nanoseconds of the epoch.
    std::uint32_t     record_bytes     = 0;  ///< Width of an object record.
    std::uint32_t     inline_extents   = 0;  ///< That each holds.
};

struct space_facts {
    std::uint64_t free_blocks        = 0;
    std::uint64_t free_runs          = 0;
    std::uint64_t largest_run        = 0;  ///< Blocks of the largest request that succeeds in one piece.
    double        free_fragmentation = 0;
};

struct verify_facts {
    std::uint64_t            objects        = 0;
    std::uint64_t            blocks_checked = 0;
    std::uint64_t            problems       = 0;
    std::vector<std::string> findings{};  ///< The first of them in words.
};

struct repair_facts {
    std::uint64_t            objects        = 0;
    std::uint64_t            blocks_checked = 0;
    std::uint64_t            mended         = 0;  ///< Problems; in a dry run those that would be.
    std::uint64_t            left           = 0;
    std::uint64_t            given_back     = 0;  ///< Blocks.
    std::uint64_t            marked         = 0;  ///< Blocks that count as in use now.
    std::vector<std::string> findings{};          ///< The first of them in words, with what was done or can be.
};

/// How much rest a defragmentation leaves to others; `unpaced` leaves it to the rate alone.
enum class intensity { low, medium, high, unpaced };

struct defrag_settings {
    intensity     strength         = intensity::medium;
    std::uint32_t extents_min      = 5;  ///< Objects with fewer pieces stay as they are.
    std::uint64_t bytes_per_second = 0;  ///< 0: 50 MiB.
};

/// What a defragmentation would do, before its first byte.
struct plan_facts {
    std::uint64_t moves                       = 0;
    std::uint64_t blocks                      = 0;
    std::uint64_t bytes_read                  = 0;
    std::uint64_t bytes_written               = 0;
    std::uint64_t memory                      = 0;
    double        seconds                     = 0;  ///< At the given budget; 0 when unknown.
    double        object_fragmentation_before = 0, object_fragmentation_after = 0;  ///< Of all objects.
    std::uint64_t free_runs_before = 0, free_runs_after = 0;
};

/// What a defragmentation did so far.
struct defrag_facts {
    std::uint64_t objects  = 0;  ///< Made whole.
    std::uint64_t moves    = 0;
    std::uint64_t blocks   = 0;  ///< Moved.
    std::uint64_t bytes    = 0;
    std::uint64_t races    = 0;  ///< Moves given up because the foreground changed the object meanwhile.
    std::uint64_t failures = 0;
};

struct format_request {
    std::string   path{};
    std::uint64_t bytes       = 0;  ///< Of the volume: whole blocks.
    std::uint32_t block_bytes = 4096;
    std::string   label{};
    std::uint32_t record_bytes   = 0;      ///< Width of an object record; 0: the usual.
    std::uint32_t inline_extents = 0;      ///< That each holds; 0: as many as fit.
    bool          create         = false;  ///< A file that does not exist yet, or is empty.
    bool          overwrite      = false;  ///< What stands there may go.
    bool          sparse         = false;  ///< Do not reserve the file's space on its disk.
};

enum class access { read_only, read_write };

/// One open volume. The process that has it holds its lock. Objects may be used from several threads at once, and one
/// of these may defragment; to open, close, move and `defragged` belong to one thread at a time.
class volume {
  public:
    [[nodiscard]] static result<>       format(const format_request& request);
    [[nodiscard]] static result<volume> open(const std::string& path, access mode,
                                             const defrag_settings& settings = {});
    /// As `open`, for whoever works with the volume. An unfinished copy is refused before it is opened for writing:
    /// that alone writes, and nobody but the copy may change its target.
    [[nodiscard]] static result<volume> open_finished(const std::string& path, access mode,
                                                      const defrag_settings& settings = {});

    volume(volume&&) noexcept;
    volume& operator=(volume&&) noexcept;
    ~volume();

    /// Syncs, checkpoints and gives the lock back. What the destructor would do unheard.
    [[nodiscard]] result<> close();

    [[nodiscard]] const std::string&             path() const;
    [[nodiscard]] const ashlar::recovery_report& recovered() const;
    /// Whether transfers go past the page cache.
    [[nodiscard]] bool                direct() const;
    [[nodiscard]] volume_facts        facts() const;
    [[nodiscard]] result<space_facts> space();
    /// Whether a copy into it was stopped: a part of what its objects name is missing.
    [[nodiscard]] bool is_unfinished_copy();
    /// Errors: an unfinished copy, which is finished or thrown away, and not worked with.
    [[nodiscard]] result<>             expect_finished();
    [[nodiscard]] result<verify_facts> verify();
    /// Mends what is certain. A dry run says the same and writes nothing.
    [[nodiscard]] result<repair_facts> repair(bool dry_run);

    [[nodiscard]] ashlar::object_id         root() const;
    [[nodiscard]] result<ashlar::object_id> create(object_tag tag);
    [[nodiscard]] result<>                  erase(ashlar::object_id id);
    /// Fewer bytes than the span has only at the end of the object.
    [[nodiscard]] result<std::size_t> read(ashlar::object_id id, std::uint64_t offset, std::span<std::byte> into);
    /// Any number of bytes; each piece of `write_bytes_max()` is atomic.
    [[nodiscard]] result<> write(ashlar::object_id id, std::uint64_t offset, std::span<const std::byte> bytes);
    [[nodiscard]] result<> truncate(ashlar::object_id id, std::uint64_t size);
    [[nodiscard]] result<std::uint64_t>                        size(ashlar::object_id id);
    [[nodiscard]] std::uint64_t                                write_bytes_max() const;
    [[nodiscard]] result<object_facts>                         object(ashlar::object_id id);
    [[nodiscard]] result<std::optional<ashlar::object_id>>     next_object(ashlar::object_id after);
    [[nodiscard]] result<std::optional<ashlar::mapped_extent>> next_extent(ashlar::object_id     id,
                                                                           ashlar::logical_block from);
    [[nodiscard]] result<>                                     sync();

    [[nodiscard]] result<plan_facts> plan_defrag();
    /// One step that copies `bytes_max` bytes at most; reasons say what the caller does next.
    [[nodiscard]] result<ashlar::progress> step_defrag(std::uint64_t bytes_max);
    [[nodiscard]] defrag_facts             defragged() const;
    /// Nanoseconds on the clock that `progress::not_before` is told in.
    [[nodiscard]] ashlar::time_point now() const;

  private:
    friend class volume_regions;
    friend class volume_size;
    friend class volume_copier;
    friend class volume_records;
    friend class volume_evacuator;

    struct core;
    explicit volume(std::unique_ptr<core> inner) noexcept;

    std::unique_ptr<core> core_;
};

}  // namespace cli
