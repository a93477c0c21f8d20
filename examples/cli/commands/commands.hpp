#pragma once
/// The commands, one file each. Each checks its input, prints its answer, and says how the process ends.

#include "../output.hpp"
#include "../volume.hpp"

#include <ashlar/format/region_directory.hpp>
#include <ashlar/region/region_size.hpp>

#include <cstdint>
#include <optional>
#include <string>

namespace cli {

/// What every command gets.
struct context {
    std::string command;
    std::string volume;  ///< Path of the volume.
    output      out{};
};

struct format_options {
    std::uint64_t bytes       = 0;  ///< 0: as large as what exists.
    std::uint32_t block_bytes = 4096;
    std::string   label{};
    bool          force  = false;
    bool          sparse = false;
};

struct import_options {
    std::string folder{};
};

struct export_options {
    std::string folder{};
    bool        force      = false;  ///< Replaces files that exist.
    bool        keep_going = false;  ///< Leaves damaged files out and goes on.
};

struct list_options {
    std::string path{};  ///< Only this name and what lies below it.
};

struct verify_options {
    bool repair  = false;  ///< Mends what is certain.
    bool dry_run = false;  ///< Says what a repair would do.
};

struct dump_options {
    std::uint64_t block       = 0;
    std::uint32_t block_bytes = 0;  ///< 0: as the volume says.
};

struct age_options {
    std::uint64_t seed        = 1;
    double        until       = 0;
    std::uint32_t extents_min = 5;
};

struct analyze_options {
    std::uint32_t extents_min = 5;
    std::uint32_t columns     = 96;  ///< Of the map; 0 leaves it out.
};

struct defrag_start_options {
    defrag_settings settings{};
    bool            dry_run = false;
};

struct regions_options {
    std::uint32_t columns = 96;  ///< Of the map; 0 leaves it out.
};

struct region_add_options {
    std::uint32_t                      type  = 0;
    std::uint64_t                      bytes = 0;  ///< Where no share of the volume is named.
    std::optional<ashlar::region_size> share{};
    bool                               dry_run = false;
};

struct region_options {
    ashlar::region_id name{};
};

struct region_pin_options {
    ashlar::region_id name{};
    bool              off = false;
};

struct region_bytes_options {
    ashlar::region_id name{};
    std::string       file{};         ///< Empty or "-": a standard stream.
    bool              force = false;  ///< Replaces a file that exists.
};

struct compact_options {
    std::optional<ashlar::region_id> only{};
    std::uint64_t                    bytes_per_second = 0;  ///< 0: as the program likes.
    bool                             dry_run          = false;
};

struct migrate_options {
    std::uint32_t record_bytes     = 0;
    std::uint64_t bytes_per_second = 0;      ///< 0: as the program likes.
    bool          cancel           = false;  ///< Undoes what was stopped.
    bool          dry_run          = false;
};

struct resize_options {
    std::uint64_t bytes            = 0;  ///< The new size; 0, to grow: all that there is.
    std::uint64_t bytes_per_second = 0;  ///< 0: as the program likes.
    bool          dry_run          = false;
};

struct evacuate_options {
    std::uint64_t                from = 0;              ///< First block,
    std::optional<std::uint64_t> to{};                  ///< and the one behind the last; empty: the volume's end.
    std::uint64_t                bytes_per_second = 0;  ///< 0: as the program likes.
    bool                         dry_run          = false;
};

struct copy_options {
    std::string   target{};
    std::uint64_t bytes            = 0;  ///< Of a new target; 0: as large as what exists, or as the source.
    std::uint32_t record_bytes     = 0;  ///< Width of the target's object records; 0: as the source's.
    std::uint64_t bytes_per_second = 0;  ///< 0: as fast as it goes.
    bool          dry_run          = false;
};

[[nodiscard]] result<exit_code> run_format(const context& with, const format_options& options);
[[nodiscard]] result<exit_code> run_import(const context& with, const import_options& options);
[[nodiscard]] result<exit_code> run_export(const context& with, const export_options& options);
[[nodiscard]] result<exit_code> run_list(const context& with, const list_options& options);
[[nodiscard]] result<exit_code> run_info(const context& with);
[[nodiscard]] result<exit_code> run_verify(const context& with, const verify_options& options);
[[nodiscard]] result<exit_code> run_dump(const context& with, const dump_options& options);
[[nodiscard]] result<exit_code> run_age(const context& with, const age_options& options);
[[nodiscard]] result<exit_code> run_defrag_analyze(const context& with, const analyze_options& options);
[[nodiscard]] result<exit_code> run_defrag_start(const context& with, const defrag_start_options& options);
[[nodiscard]] result<exit_code> run_regions(const context& with, const regions_options& options);
[[nodiscard]] result<exit_code> run_region_add(const context& with, const region_add_options& options);
[[nodiscard]] result<exit_code> run_region_remove(const context& with, const region_options& options);
[[nodiscard]] result<exit_code> run_region_pin(const context& with, const region_pin_options& options);
[[nodiscard]] result<exit_code> run_region_read(const context& with, const region_bytes_options& options);
[[nodiscard]] result<exit_code> run_region_write(const context& with, const region_bytes_options& options);
[[nodiscard]] result<exit_code> run_compact(const context& with, const compact_options& options);
[[nodiscard]] result<exit_code> run_migrate_records(const context& with, const migrate_options& options);
[[nodiscard]] result<exit_code> run_shrink(const context& with, const resize_options& options);
[[nodiscard]] result<exit_code> run_grow(const context& with, const resize_options& options);
[[nodiscard]] result<exit_code> run_evacuate(const context& with, const evacuate_options& options);
[[nodiscard]] result<exit_code> run_copy(const context& with, const copy_options& options);

}  // namespace cli
