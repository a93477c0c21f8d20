/// ashlar export: writes the imported tree back into a folder.

#include "commands.hpp"

#include "../descriptor.hpp"
#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../tree.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <unordered_map>

namespace cli {
namespace {

struct export_totals {
    std::uint64_t files = 0, folders = 0, links = 0, bytes = 0, damaged = 0;
};

/// Writes below one folder. Every name is opened part by part without following symbolic links, so that neither a
/// hostile catalogue nor a link that waits in the folder can lead out of it.
class exporter {
  public:
    exporter(const context& with, volume& from, const export_options& options)
        : with_{with}, from_{from}, options_{options}, buffer_(std::size_t{1} << 20U) {}

    result<> open_top() {
        if (::mkdir(options_.folder.c_str(), 0777) != 0 && errno != EEXIST)
            return system_failure("cannot make the folder", shown(options_.folder), errno);
        top_ = descriptor{::open(options_.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
        if (!top_.open()) return system_failure("cannot open the folder", shown(options_.folder), errno);
        return success();
    }

    /// Before the first byte: nothing that exists may be in the way, unless it may be replaced.
    result<> check_free(const catalogue& entries) {
        for (const auto& entry : entries) {
            if (entry.path.empty()) continue;
            struct stat seen {};
            BOOST_OUTCOME_TRY(const int folder, open_parent(entry.path, false));
            if (folder < 0 || ::fstatat(folder, last_name(entry), &seen, AT_SYMLINK_NOFOLLOW) != 0) continue;
            if (entry.kind == entry_kind::folder && S_ISDIR(seen.st_mode)) continue;
            if (entry.kind != entry_kind::folder && !S_ISDIR(seen.st_mode) && options_.force) continue;
            const char* const fix = S_ISDIR(seen.st_mode) || entry.kind == entry_kind::folder
                                        ? "export to another folder"
                                        : "export to another folder, or give --force to replace files";
            return failure{exit_code::failed, "something of that name exists; nothing was exported", shown_path(entry),
                           fix};
        }
        return success();
    }

    result<> write_all(const catalogue& entries) {
        std::uint64_t total = 0;
        for (const auto& entry : entries) total += entry.size;
        progress_bar bar{"export", with_.out.quiet};
        for (const auto& entry : entries) {
            if (interrupted()) {
                return failure{exit_code::interrupted,
                               fmt::format("interrupted after {}", counted(totals.files, "file")),
                               shown(options_.folder), "run the same export with --force to go on"};
            }
            BOOST_OUTCOME_TRY(write_entry(entry));
            bar.show_bytes(totals.bytes, total, counted(totals.files, "file"));
        }
        // Folders get their modes and times last, deepest first: writing into them changes both.
        for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) {
            if (entry->kind != entry_kind::folder) continue;
            BOOST_OUTCOME_TRY(finish_folder(*entry));
        }
        return success();
    }

    export_totals totals{};

  private:
    [[nodiscard]] std::string shown_path(const catalogue_entry& entry) const {
        return shown(options_.folder + '/' + entry.path);
    }
    /// The last part of the path. It ends with the path, so it is a C string.
    [[nodiscard]] static const char* last_name(const catalogue_entry& entry) { return last_name_of(entry.path).data(); }
    [[nodiscard]] failure            problem(const char* what, const catalogue_entry& entry) const {
                   return system_failure(what, shown_path(entry), errno);
    }

    /// The folder that holds `path`, or -1 where there is none and it need not be. The last one stays open for the next
    /// name.
    result<int> open_parent(std::string_view path, bool needed) {
        const std::string parent{parent_of(path)};
        if (parent.empty()) return top_.number();
        if (parent_.open() && parent == parent_path_) return parent_.number();
        descriptor at{::dup(top_.number())};
        for (std::size_t from = 0; from <= parent.size();) {
            const std::size_t end  = std::min(parent.find('/', from), parent.size());
            const std::string part = parent.substr(from, end - from);
            descriptor next{::openat(at.number(), part.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
            if (!next.open() && !needed && errno == ENOENT) return -1;
            if (!next.open())
                return system_failure("cannot open a folder of the export", shown(options_.folder + '/' + parent),
                                      errno);
            at   = std::move(next);
            from = end + 1;
        }
        parent_      = std::move(at);
        parent_path_ = parent;
        return parent_.number();
    }

    result<> write_entry(const catalogue_entry& entry) {
        if (entry.path.empty()) return success();
        BOOST_OUTCOME_TRY(const int folder, open_parent(entry.path, true));
        const char* const name = last_name(entry);
        if (entry.kind == entry_kind::folder) {
            ++totals.folders;
            if (::mkdirat(folder, name, 0700) != 0 && errno != EEXIST) return problem("cannot make a folder", entry);
            return success();
        }
        if (options_.force && ::unlinkat(folder, name, 0) != 0 && errno != ENOENT)
            return problem("cannot replace a file", entry);
        if (entry.kind == entry_kind::symbolic_link) return write_link(folder, name, entry);
        return write_file(folder, name, entry);
    }

    result<> write_link(int folder, const char* name, const catalogue_entry& entry) {
        ++totals.links;
        if (::symlinkat(entry.target.c_str(), folder, name) != 0) return problem("cannot make a symbolic link", entry);
        const auto times = times_of(entry);
        if (::utimensat(folder, name, times.data(), AT_SYMLINK_NOFOLLOW) != 0)
            return problem("cannot set the times of a symbolic link", entry);
        return success();
    }

    result<> write_file(int folder, const char* name, const catalogue_entry& entry) {
        if (const auto first = written_.find(entry.object.value); entry.object && first != written_.end()) {
            ++totals.files;
            if (::linkat(top_.number(), first->second.c_str(), folder, name, 0) != 0)
                return problem("cannot make a hard link", entry);
            return success();
        }
        const descriptor file{::openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600)};
        if (!file.open()) return problem("cannot make a file", entry);
        auto copied = copy_bytes(file.number(), entry);
        if (!copied) {
            ::unlinkat(folder, name, 0);  // half a file would look like a whole one
            if (!options_.keep_going || copied.error().code != exit_code::corrupt) return copied;
            ++totals.damaged;
            with_.out.warn(fmt::format("'{}' is damaged and was left out: {}", shown(entry.path), copied.error().what));
            return success();
        }
        ++totals.files;
        totals.bytes += entry.size;
        if (::fchmod(file.number(), entry.mode) != 0) return problem("cannot set the mode of a file", entry);
        const auto times = times_of(entry);
        if (::futimens(file.number(), times.data()) != 0) return problem("cannot set the times of a file", entry);
        if (entry.object) written_.emplace(entry.object.value, entry.path);
        return success();
    }

    /// Holes of the object become holes of the file.
    result<> copy_bytes(int file, const catalogue_entry& entry) {
        for (std::uint64_t offset = 0; offset < entry.size;) {
            const auto want = std::span{buffer_}.first(
                static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), entry.size - offset)));
            auto got = from_.read(entry.object, offset, want);
            if (!got) {
                got.error().what = fmt::format("'{}': {}", shown(entry.path), got.error().what);
                return got.error();
            }
            if (got.value() != want.size()) {
                return failure{exit_code::corrupt,
                               fmt::format("'{}' is shorter than the catalogue says", shown(entry.path)), with_.volume,
                               "run 'ashlar verify'"};
            }
            const bool hole = want.size() == buffer_.size() &&
                              std::all_of(want.begin(), want.end(), [](std::byte b) { return b == std::byte{0}; });
            if (!hole) { BOOST_OUTCOME_TRY(write_bytes(file, offset, want, entry)); }
            offset += want.size();
        }
        if (::ftruncate(file, static_cast<off_t>(entry.size)) != 0)
            return problem("cannot set the size of a file", entry);
        return success();
    }

    result<> write_bytes(int file, std::uint64_t offset, std::span<const std::byte> bytes,
                         const catalogue_entry& entry) {
        while (!bytes.empty()) {
            const auto put = ::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
            if (put < 0 && errno == EINTR) continue;
            if (put < 0) return problem("cannot write a file", entry);
            offset += static_cast<std::uint64_t>(put);
            bytes = bytes.subspan(static_cast<std::size_t>(put));
        }
        return success();
    }

    result<> finish_folder(const catalogue_entry& entry) {
        const auto times = times_of(entry);
        if (entry.path.empty()) {
            if (::fchmod(top_.number(), entry.mode) != 0 || ::futimens(top_.number(), times.data()) != 0)
                return problem("cannot set the times of the folder", entry);
            return success();
        }
        BOOST_OUTCOME_TRY(const int folder, open_parent(entry.path, true));
        const descriptor self{::openat(folder, last_name(entry), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
        if (!self.open() || ::fchmod(self.number(), entry.mode) != 0 || ::futimens(self.number(), times.data()) != 0) {
            return problem("cannot set the mode and times of a folder", entry);
        }
        return success();
    }

    /// Access time now, modification time as imported.
    [[nodiscard]] static std::array<timespec, 2> times_of(const catalogue_entry& entry) {
        return {timespec{0, UTIME_OMIT},
                timespec{static_cast<time_t>(entry.modified_s), static_cast<long>(entry.modified_ns)}};
    }

    const context&                                 with_;
    volume&                                        from_;
    const export_options&                          options_;
    std::vector<std::byte>                         buffer_;
    descriptor                                     top_{};
    descriptor                                     parent_{};
    std::string                                    parent_path_{};
    std::unordered_map<std::uint64_t, std::string> written_{};  // by object: the first path of a hard-linked file
};

}  // namespace

result<exit_code> run_export(const context& with, const export_options& options) {
    BOOST_OUTCOME_TRY(auto from, volume::open(with.volume, access::read_only));
    BOOST_OUTCOME_TRY(const auto tree, load_tree(from));
    if (tree.imports == 0)
        return failure{exit_code::not_found, "nothing was imported yet", with.volume, "run 'ashlar import' first"};

    const progress_bar clock{"", true};
    exporter           work{with, from, options};
    BOOST_OUTCOME_TRY(work.open_top());
    BOOST_OUTCOME_TRY(work.check_free(tree.entries));
    BOOST_OUTCOME_TRY(work.write_all(tree.entries));

    const auto&  totals  = work.totals;
    const double seconds = clock.seconds();
    with.out.say(fmt::format("exported {} to {}: {}, {}, {} in {}", with.volume, shown(options.folder),
                             counted(totals.files, "file"), counted(totals.folders, "folder"),
                             human_bytes(totals.bytes), human_seconds(seconds)));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"folder", shown(options.folder)},
                                     {"files", totals.files},
                                     {"folders", totals.folders},
                                     {"symbolic_links", totals.links},
                                     {"bytes", totals.bytes},
                                     {"damaged", totals.damaged},
                                     {"seconds", seconds}});
    return totals.damaged > 0 ? exit_code::corrupt : exit_code::ok;
}

}  // namespace cli
