#include "source_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <memory>

namespace cli {
namespace {

struct close_folder {
    void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

class walker {
  public:
    walker(std::string top, source_tree& into) : top_{std::move(top)}, into_{into} {}

    /// Takes what lies in `folder`, whose own entry is taken already.
    result<> take_folder(descriptor folder, const std::string& path) {
        std::vector<std::string> names;
        {
            const int                          number = folder.number();
            std::unique_ptr<DIR, close_folder> stream{::fdopendir(::dup(number))};
            if (!stream) return system_failure("cannot read a folder", shown_path(path), errno);
            errno = 0;
            for (const dirent* next = nullptr; (next = ::readdir(stream.get())) != nullptr;) {
                const std::string_view name{next->d_name};
                if (name != "." && name != "..") names.emplace_back(name);
            }
            if (errno != 0) return system_failure("cannot read a folder", shown_path(path), errno);
        }
        for (const auto& name : names) {
            BOOST_OUTCOME_TRY(take_name(folder.number(), name, path.empty() ? name : path + '/' + name));
        }
        return success();
    }

    void take_entry(const std::string& path, entry_kind kind, const struct stat& seen) {
        source_entry found;
        found.entry.path        = path;
        found.entry.kind        = kind;
        found.entry.mode        = static_cast<std::uint16_t>(seen.st_mode & 07777U);
        found.entry.modified_s  = seen.st_mtim.tv_sec;
        found.entry.modified_ns = static_cast<std::uint32_t>(seen.st_mtim.tv_nsec);
        found.identity          = {seen.st_dev, seen.st_ino};
        found.hard_linked       = kind == entry_kind::file && seen.st_nlink > 1;
        into_.entries.push_back(std::move(found));
    }

  private:
    [[nodiscard]] std::string shown_path(std::string_view path) const {
        return path.empty() ? shown(top_) : shown(top_ + '/' + std::string{path});
    }

    result<> take_name(int folder, const std::string& name, const std::string& path) {
        if (!is_safe_path(path))
            return failure{exit_code::failed, "the path is too long for a catalogue", shown_path(path),
                           "import a deeper folder by itself"};
        struct stat seen {};
        if (::fstatat(folder, name.c_str(), &seen, AT_SYMLINK_NOFOLLOW) != 0)
            return system_failure("cannot look at a file", shown_path(path), errno);
        if (S_ISREG(seen.st_mode)) {
            take_entry(path, entry_kind::file, seen);
            into_.bytes += static_cast<std::uint64_t>(seen.st_size);
            return success();
        }
        if (S_ISLNK(seen.st_mode)) return take_link(folder, name, path, seen);
        if (!S_ISDIR(seen.st_mode)) {
            into_.skipped.push_back(path);
            return success();
        }
        take_entry(path, entry_kind::folder, seen);
        descriptor inner{::openat(folder, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (!inner.open()) return system_failure("cannot read a folder", shown_path(path), errno);
        return take_folder(std::move(inner), path);
    }

    result<> take_link(int folder, const std::string& name, const std::string& path, const struct stat& seen) {
        std::string target(path_bytes_max + 1, '\0');
        const auto  size = ::readlinkat(folder, name.c_str(), target.data(), target.size());
        if (size < 0) return system_failure("cannot read a symbolic link", shown_path(path), errno);
        if (static_cast<std::size_t>(size) > path_bytes_max) {
            return failure{exit_code::failed, "the target of a symbolic link is too long for a catalogue",
                           shown_path(path), "shorten or remove the link"};
        }
        target.resize(static_cast<std::size_t>(size));
        take_entry(path, entry_kind::symbolic_link, seen);
        into_.entries.back().entry.target = std::move(target);
        return success();
    }

    std::string  top_;
    source_tree& into_;
};

}  // namespace

result<source_tree> walk(const std::string& folder) {
    source_tree tree;
    tree.folder = descriptor{::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    struct stat seen {};
    if (!tree.folder.open() || ::fstat(tree.folder.number(), &seen) != 0)
        return system_failure("cannot read the folder to import", shown(folder), errno);

    walker through{folder, tree};
    through.take_entry("", entry_kind::folder, seen);
    BOOST_OUTCOME_TRY(through.take_folder(descriptor{::dup(tree.folder.number())}, ""));
    // Sorted, so that the same folder gives the same volume whatever order its file system answers in.
    std::sort(tree.entries.begin(), tree.entries.end(),
              [](const auto& a, const auto& b) { return a.entry.path < b.entry.path; });
    return tree;
}

}  // namespace cli
