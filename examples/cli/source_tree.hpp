#pragma once
/// A folder of the file system as it is before an import.

#include "catalogue.hpp"
#include "descriptor.hpp"
#include "failure.hpp"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cli {

/// One name found below the folder, not read yet.
struct source_entry {
    catalogue_entry                         entry{};
    std::pair<std::uint64_t, std::uint64_t> identity{};  ///< Device and inode.
    bool                                    hard_linked = false;
};

struct source_tree {
    descriptor                folder{};   ///< The folder itself, for opening what lies in it.
    std::vector<source_entry> entries{};  ///< Sorted by path; the first is the folder itself.
    std::vector<std::string>  skipped{};  ///< Sockets, pipes and device files, which have no bytes to import.
    std::uint64_t             bytes = 0;  ///< Of all files.
};

/// Walks `folder` without following symbolic links. Errors: a folder that cannot be read, or a path that is too long.
[[nodiscard]] result<source_tree> walk(const std::string& folder);

}  // namespace cli
