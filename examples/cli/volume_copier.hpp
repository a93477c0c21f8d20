#pragma once
/// An open volume copied to another one.

#include "volume.hpp"

namespace cli {

/// What a copy takes, as the source says.
struct copy_estimate_facts {
    std::uint64_t objects       = 0;
    std::uint64_t records       = 0;  ///< That objects have, or had: a copy keeps the numbers of those that are.
    std::uint64_t regions       = 0;
    std::uint64_t blocks        = 0;  ///< Read and written: those that hold data.
    std::uint64_t reserved      = 0;  ///< Blocks that objects get in the target too, and that are not copied.
    std::uint64_t skipped       = 0;  ///< Blocks of the source that are not looked at.
    std::uint32_t feature_bytes = 0;  ///< That features have in each record.
};

/// What this process copied.
struct copied_facts {
    bool          resumed          = false;  ///< It went on where another process was stopped.
    std::uint64_t objects          = 0;
    std::uint64_t regions          = 0;
    std::uint64_t blocks           = 0;
    std::uint64_t speed_up_percent = 0;  ///< How many times as long to copy every block of the source would take.
};

/// Precondition: both volumes outlive it and stay open. The source may be open for reading only.
class volume_copier {
  public:
    /// Cost: every record and every extent.
    [[nodiscard]] static result<copy_estimate_facts> estimate(volume& of);
    /// Blocks that objects and regions of a copy with so many records find in a new volume; 0 where it is too small to
    /// be one.
    [[nodiscard]] static std::uint64_t room_when_new(std::uint64_t records, std::uint64_t blocks,
                                                     std::uint32_t block_bytes, std::uint32_t record_bytes);
    /// Extents that records of a new target hold: as many as the source's, so that the rest stays free for features, or
    /// as many as have room beside those that the source has. Error: none has.
    [[nodiscard]] static result<std::uint32_t> extents_when_new(volume& from, std::uint32_t feature_bytes,
                                                                std::uint32_t record_bytes, const std::string& target);
    /// Blocks for extents that records of a new target have no room for, which those of the source have: one for each
    /// object that may have more. What the source has outside of its records is not in it. Cost: every record.
    [[nodiscard]] static result<std::uint64_t> nodes_when_new(volume& from, std::uint32_t extents);
    /// Errors: the volume is itself an unfinished copy.
    [[nodiscard]] static result<> check_source(volume& from);
    /// Whether the target, perhaps open for reading only, can take a copy or go on with one. Errors: what it holds.
    [[nodiscard]] static result<> check_target(volume& from, volume& to);
    /// Marks the target as an unfinished copy of this source. `bytes_per_second`: 0 for as fast as it goes.
    [[nodiscard]] static result<volume_copier> open(volume& from, volume& to, std::uint64_t bytes_per_second);

    volume_copier(volume_copier&&) noexcept;
    ~volume_copier();

    /// Copies on, `bytes_max` bytes at most; reasons say what the caller does next.
    [[nodiscard]] ashlar::progress step(std::uint64_t bytes_max);
    /// What a step that ended with an error has to say.
    [[nodiscard]] failure      failed(ashlar::error error) const;
    [[nodiscard]] copied_facts copied() const;

  private:
    struct core;
    explicit volume_copier(std::unique_ptr<core> inner) noexcept;

    std::unique_ptr<core> core_;
};

}  // namespace cli
