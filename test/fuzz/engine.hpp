#pragma once
/// The store behind one translation unit, so that its templates are compiled once for all targets.

#include "device.hpp"
#include "repair.hpp"

#include <ashlar/maintenance/repair_report.hpp>
#include <ashlar/store_options.hpp>
#include <ashlar/vocabulary/progress.hpp>

#include <map>
#include <memory>

namespace ashlar::fuzz {

/// What the objects of a volume hold, as far as it is known.
using contents = std::map<std::uint64_t, byte_vector>;

/// An image that the targets format and fill themselves, so that inputs name changes of it and stay valid when the
/// format moves.
struct base_image {
    byte_vector bytes{};
    places      where{};
    contents    objects{};
};
inline constexpr unsigned base_images = 6;

/// Made at the first use. Precondition: number < base_images.
const base_image& base_of(unsigned number);

/// One open store. Each call may cost so many calls and blocks of the device and no more, whatever the image says.
class live_store {
  public:
    enum class access { read_only, read_write };

    static result<live_store> open(image& on, access how);
    live_store(live_store&&) noexcept;
    live_store& operator=(live_store&&) noexcept;
    ~live_store();  ///< As a crash would leave it.

    [[nodiscard]] object_id              root() const;
    [[nodiscard]] store_info             info() const;
    [[nodiscard]] const recovery_report& recovered() const;

    result<object_id>                    create();
    result<>                             erase(object_id id);
    result<std::size_t>                  read(object_id id, std::uint64_t offset, std::span<std::byte> into);
    result<>                             write(object_id id, std::uint64_t offset, bytes_in bytes);
    result<std::uint64_t>                append(object_id id, bytes_in bytes);
    result<>                             truncate(object_id id, std::uint64_t size);
    result<>                             punch(object_id id, std::uint64_t offset, std::uint64_t length);
    result<>                             reserve(object_id id, std::uint64_t offset, std::uint64_t length);
    result<>                             pin(object_id id, std::uint64_t offset, std::uint64_t length, bool pinned);
    result<object_info>                  info(object_id id);
    result<std::optional<object_id>>     next_object(object_id after);
    result<std::optional<mapped_extent>> next_extent(object_id id, logical_block from);
    result<std::uint64_t>                free_runs();
    result<>                             sync();
    result<>                             checkpoint();
    result<>                             maintain();
    result<>                             plan();
    result<>                             fragmentation();
    result<>                             trim();
    result<>                             close();
    /// Answers how many findings there are.
    result<std::uint64_t> verify();
    result<repair_report> repair(bool dry_run);

    // One open transaction.
    [[nodiscard]] bool in_transaction() const;
    result<>           begin();
    result<>           commit();
    void               abort();
    result<object_id>  create_in_transaction();
    result<>           erase_in_transaction(object_id id);
    result<>           write_in_transaction(object_id id, std::uint64_t offset, bytes_in bytes);
    result<>           truncate_in_transaction(object_id id, std::uint64_t size);
    result<>           punch_in_transaction(object_id id, std::uint64_t offset, std::uint64_t length);

  private:
    struct core;
    explicit live_store(std::unique_ptr<core> inner) noexcept;
    std::unique_ptr<core> core_;
};

/// Asks a store everything that changes nothing. Answers one number for what its objects hold, and whether `verify`
/// found nothing and nothing failed.
struct seen {
    std::uint64_t digest = 0;
    bool          whole  = true;
};
seen look_at_everything(live_store& live);

/// The bytes of every object; empty where something cannot be read.
std::optional<contents> contents_of(live_store& live);

/// The bytes of the objects that can be read, as far as they are read.
contents contents_of_readable(live_store& live);

/// What the most expensive call of each kind cost, in percent of its bound.
struct spent {
    unsigned open = 0, operation = 0, walk = 0;
};
spent most_spent();

}  // namespace ashlar::fuzz
