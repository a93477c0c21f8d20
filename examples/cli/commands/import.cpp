/// ashlar import: copies a folder into the volume; the volume shows all of it or, after a failure, none.

#include "commands.hpp"

#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../source_tree.hpp"
#include "../tree.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <unordered_set>

namespace cli {
namespace {

struct import_totals {
    std::uint64_t files = 0, folders = 0, links = 0, bytes = 0, replaced = 0;
};

/// Writes files into new objects. What it wrote is reachable only once the catalogue names it.
class importer {
  public:
    importer(volume& to, const source_tree& from, std::string top)
        : to_{to}, from_{from}, top_{std::move(top)}, buffer_(piece_bytes) {}

    result<> write_all(catalogue& into, const output& out) {
        progress_bar bar{"import", out.quiet};
        for (const auto& source : from_.entries) {
            BOOST_OUTCOME_TRY(check_interrupt());
            catalogue_entry entry = source.entry;
            if (entry.kind == entry_kind::file) { BOOST_OUTCOME_TRY(write_file(source, entry)); }
            count(entry);
            into.push_back(std::move(entry));
            bar.show_bytes(totals.bytes, from_.bytes, counted(totals.files, "file"));
        }
        return success();
    }

    /// Takes back what was written. The volume may be full or failing: what cannot go now goes with the next import.
    void take_back() {
        for (const auto object : made_) static_cast<void>(to_.erase(object));
        static_cast<void>(to_.sync());
    }

    import_totals totals{};

  private:
    static constexpr std::size_t   piece_bytes     = std::size_t{1} << 20U;
    static constexpr std::uint64_t sync_each_bytes = 32ULL << 20U;
    static constexpr std::uint64_t sync_each_files = 512;

    [[nodiscard]] result<> check_interrupt() const {
        if (!interrupted()) return success();
        return failure{exit_code::interrupted, "interrupted; the volume shows what it showed before", to_.path(),
                       "run the same import again"};
    }

    [[nodiscard]] std::string shown_path(const catalogue_entry& entry) const { return shown(top_ + '/' + entry.path); }

    result<> write_file(const source_entry& source, catalogue_entry& entry) {
        if (source.hard_linked) {
            const auto [known, fresh] = linked_.try_emplace(source.identity);
            if (!fresh) {
                entry.object = known->second.object;
                entry.size   = known->second.size;
                return success();
            }
        }
        const descriptor file{
            ::openat(from_.folder.number(), entry.path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK)};
        if (!file.open()) return system_failure("cannot read a file; nothing was imported", shown_path(entry), errno);
        BOOST_OUTCOME_TRY(copy_bytes(file.number(), entry));
        totals.bytes += entry.size;
        if (source.hard_linked) linked_[source.identity] = {entry.object, entry.size};
        unsynced_bytes_ += entry.size;
        if (++unsynced_files_ >= sync_each_files || unsynced_bytes_ >= sync_each_bytes) {
            unsynced_files_ = unsynced_bytes_ = 0;
            return to_.sync();
        }
        return success();
    }

    /// Copies to the end of the file, wherever that is by now. Pieces of zeros become holes.
    result<> copy_bytes(int file, catalogue_entry& entry) {
        bool ends_in_hole = false;
        for (;;) {
            BOOST_OUTCOME_TRY(check_interrupt());
            BOOST_OUTCOME_TRY(const auto bytes, read_piece(file, entry));
            if (bytes.empty()) break;
            if (!entry.object) {
                BOOST_OUTCOME_TRY(entry.object, to_.create(object_tag::file));
                made_.push_back(entry.object);
            }
            ends_in_hole = bytes.size() == buffer_.size() &&
                           std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
            if (!ends_in_hole) { BOOST_OUTCOME_TRY(to_.write(entry.object, entry.size, bytes)); }
            entry.size += bytes.size();
        }
        return ends_in_hole ? to_.truncate(entry.object, entry.size) : success();
    }

    result<std::span<const std::byte>> read_piece(int file, const catalogue_entry& entry) {
        std::size_t filled = 0;
        while (filled < buffer_.size()) {
            const auto got = ::read(file, buffer_.data() + filled, buffer_.size() - filled);
            if (got < 0 && errno == EINTR) continue;
            if (got < 0) return system_failure("cannot read a file; nothing was imported", shown_path(entry), errno);
            if (got == 0) break;
            filled += static_cast<std::size_t>(got);
        }
        return std::span<const std::byte>{buffer_}.first(filled);
    }

    void count(const catalogue_entry& entry) {
        switch (entry.kind) {
            case entry_kind::file: ++totals.files; break;
            case entry_kind::folder: ++totals.folders; break;
            case entry_kind::symbolic_link: ++totals.links; break;
        }
    }

    struct linked_file {
        ashlar::object_id object{};
        std::uint64_t     size = 0;
    };

    volume&                                                        to_;
    const source_tree&                                             from_;
    std::string                                                    top_;
    std::vector<std::byte>                                         buffer_;
    std::vector<ashlar::object_id>                                 made_{};
    std::map<std::pair<std::uint64_t, std::uint64_t>, linked_file> linked_{};
    std::uint64_t                                                  unsynced_files_ = 0, unsynced_bytes_ = 0;
};

/// A file may replace a file and a folder may meet a folder; anything else would lose what lies below a name.
result<> check_conflicts(const context& with, const stored_tree& old, const source_tree& from) {
    std::map<std::string_view, entry_kind> kinds;
    for (const auto& entry : old.entries) kinds.emplace(entry.path, entry.kind);
    for (const auto& source : from.entries) {
        const auto known = kinds.find(source.entry.path);
        if (known == kinds.end() || (known->second == entry_kind::folder) == (source.entry.kind == entry_kind::folder))
            continue;
        return failure{exit_code::failed,
                       fmt::format("'{}' is a folder on one side and none on the other", shown(source.entry.path)),
                       with.volume, "rename it, or import into another volume"};
    }
    return success();
}

/// The old tree with the new one over it.
catalogue merged(const catalogue& old, const catalogue& fresh, std::uint64_t& replaced) {
    std::map<std::string_view, const catalogue_entry*> by_path;
    for (const auto& entry : old) by_path[entry.path] = &entry;
    for (const auto& entry : fresh) {
        auto& place = by_path[entry.path];
        if (place != nullptr && entry.kind != entry_kind::folder) ++replaced;
        place = &entry;
    }
    catalogue both;
    both.reserve(by_path.size());
    for (const auto& [path, entry] : by_path) both.push_back(*entry);
    return both;
}

/// Erases the objects that only replaced files held.
result<> erase_replaced(volume& on, const catalogue& old, const catalogue& now) {
    std::unordered_set<std::uint64_t> kept;
    for (const auto& entry : now) kept.insert(entry.object.value);
    for (const auto& entry : old) {
        if (!entry.object || !kept.insert(entry.object.value).second) continue;
        BOOST_OUTCOME_TRY(on.erase(entry.object));
    }
    return on.sync();
}

/// A volume inside of the tree that it takes in would grow under the reader.
result<> check_volume_is_outside(const context& with, const source_tree& from) {
    struct stat seen {};
    if (::stat(with.volume.c_str(), &seen) != 0) return success();  // opening says why
    for (const auto& source : from.entries) {
        if (source.identity != std::pair<std::uint64_t, std::uint64_t>{seen.st_dev, seen.st_ino}) continue;
        return failure{exit_code::failed, "the volume lies in the folder to import", shown(source.entry.path),
                       "move the volume out of it"};
    }
    return success();
}

}  // namespace

result<exit_code> run_import(const context& with, const import_options& options) {
    BOOST_OUTCOME_TRY(const auto from, walk(options.folder));
    BOOST_OUTCOME_TRY(check_volume_is_outside(with, from));
    BOOST_OUTCOME_TRY(auto to, volume::open_finished(with.volume, access::read_write));
    BOOST_OUTCOME_TRY(const auto old, load_tree(to));
    BOOST_OUTCOME_TRY(check_conflicts(with, old, from));
    BOOST_OUTCOME_TRY(const auto leftovers, erase_leftovers(to, old));
    if (leftovers > 0) with.out.warn(fmt::format("{} of an interrupted command erased", counted(leftovers, "object")));
    for (const auto& path : from.skipped)
        with.out.warn(fmt::format("'{}' is a socket, a pipe or a device file and was left out", shown(path)));

    const progress_bar clock{"", true};
    importer           work{to, from, options.folder};
    catalogue          fresh;
    auto               written = work.write_all(fresh, with.out);
    const auto         now     = merged(old.entries, fresh, work.totals.replaced);
    if (written) written = replace_tree(to, old, now);
    if (!written) {
        work.take_back();
        return written.error();
    }
    BOOST_OUTCOME_TRY(erase_replaced(to, old.entries, now));
    BOOST_OUTCOME_TRY(to.close());

    const auto&  totals  = work.totals;
    const double seconds = clock.seconds();
    with.out.say(
        fmt::format("imported {}: {}, {}, {}, {} in {} ({}){}", shown(options.folder), counted(totals.files, "file"),
                    counted(totals.folders, "folder"), counted(totals.links, "symbolic link"),
                    human_bytes(totals.bytes), human_seconds(seconds),
                    human_rate(static_cast<std::uint64_t>(static_cast<double>(totals.bytes) / std::max(seconds, 1e-6))),
                    totals.replaced > 0 ? fmt::format("; {} replaced", totals.replaced) : ""));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"folder", shown(options.folder)},
                                     {"files", totals.files},
                                     {"folders", totals.folders},
                                     {"symbolic_links", totals.links},
                                     {"bytes", totals.bytes},
                                     {"replaced", totals.replaced},
                                     {"skipped", from.skipped.size()},
                                     {"leftovers_erased", leftovers},
                                     {"seconds", seconds}});
    return exit_code::ok;
}

}  // namespace cli
