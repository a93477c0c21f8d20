#pragma once
/// The imported tree on a volume: its catalogue, read whole and replaced by one write.

#include "catalogue.hpp"
#include "volume.hpp"

namespace cli {

/// The catalogue as it stands, and where.
struct stored_tree {
    catalogue         entries{};
    ashlar::object_id object{};  ///< Holds the catalogue; none on a volume without an import.
    std::uint32_t     imports = 0;
};

/// Reads the tree. Empty on a volume that nothing was imported to. Errors: corrupt where the catalogue is damaged,
/// failed where the root object belongs to another program.
[[nodiscard]] result<stored_tree> load_tree(volume& on);

/// Writes a new catalogue and makes it the volume's with one durable write of the root object, then erases the old one.
/// Objects that the new catalogue names must be written before; they become durable with it.
[[nodiscard]] result<> replace_tree(volume& on, const stored_tree& old, const catalogue& entries);

/// Erases what interrupted commands left: objects with the tag of a file or catalogue that `tree` does not name, and
/// fillers. Answers how many.
[[nodiscard]] result<std::uint64_t> erase_leftovers(volume& on, const stored_tree& tree);

}  // namespace cli
