#pragma once
/// The object records of an open volume, given another width.

#include "volume.hpp"

#include <ashlar/format/migration_checkpoint.hpp>

namespace cli {

struct migration_settings {
    std::uint32_t record_bytes     = 0;
    std::uint64_t bytes_per_second = 0;  ///< 0: as the program likes.
};

struct migration_plan_facts {
    ashlar::errc  obstacle      = ashlar::errc::none;
    std::uint64_t records       = 0;
    std::uint64_t blocks        = 0;  ///< Of the new table.
    std::uint64_t parts         = 0;
    std::uint64_t freed         = 0;  ///< Of the old one.
    std::uint64_t bytes_read    = 0;
    std::uint64_t bytes_written = 0;
};

struct migration_facts {
    bool          finished = false;
    bool          resumed  = false;
    std::uint64_t records  = 0;
    std::uint64_t blocks   = 0;
    ashlar::error failure{};
};

/// Precondition: the volume outlives it and stays open.
class volume_records {
  public:
    volume_records(volume& of, const migration_settings& settings);
    ~volume_records();
    volume_records(const volume_records&)            = delete;
    volume_records& operator=(const volume_records&) = delete;

    [[nodiscard]] result<migration_plan_facts> plan();
    /// What is under way in the volume.
    [[nodiscard]] ashlar::migration_phase phase();
    /// The width that it goes to; 0 where none is under way, or it goes back.
    [[nodiscard]] std::uint32_t    width_under_way();
    void                           start();
    void                           cancel();
    [[nodiscard]] ashlar::progress step(std::uint64_t bytes_max);
    [[nodiscard]] migration_facts  migrated() const;

  private:
    struct core;
    std::unique_ptr<core> core_;
};

}  // namespace cli
