/// ashlar region-read and region-write: a region's bytes, to and from a file or a pipe.

#include "commands.hpp"

#include "../descriptor.hpp"
#include "../interrupt.hpp"
#include "../progress_bar.hpp"
#include "../region_names.hpp"
#include "../volume_regions.hpp"

#include <ashlar/vocabulary/aligned_buffer.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cli {
namespace {

constexpr std::size_t piece_bytes = std::size_t{1} << 20U;  ///< A multiple of every block size.

result<ashlar::aligned_buffer> piece_for(const context& with) {
    auto memory = ashlar::aligned_buffer::allocate(piece_bytes);
    if (!memory) return store_failure("no memory for the transfer", with.volume, memory.error());
    return std::move(memory.value());
}

/// The other side of a transfer: a file, or a standard stream where the name is empty or "-".
struct stream {
    descriptor  file{};
    int         number = -1;
    std::string name{};
};

bool means_standard(const std::string& path) { return path.empty() || path == "-"; }

result<stream> target_of(const std::string& path, bool force) {
    if (means_standard(path)) return stream{{}, STDOUT_FILENO, "standard output"};
    descriptor file{::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | (force ? O_TRUNC : O_EXCL), 0666)};
    if (!file.open() && errno == EEXIST)
        return failure{exit_code::failed, "the file exists", path, "use another name, or give --force to replace it"};
    if (!file.open()) return system_failure("cannot make the file", path, errno);
    const int number = file.number();
    return stream{std::move(file), number, path};
}

result<> write_all(const stream& to, std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
        const auto put = ::write(to.number, bytes.data(), bytes.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return system_failure("cannot write what the region holds", to.name, errno);
        bytes = bytes.subspan(static_cast<std::size_t>(put));
    }
    return success();
}

/// All blocks of the region, in order.
result<> copy_out(const context& with, open_region& from, const stream& to, std::span<std::byte> piece) {
    const std::uint64_t bytes = from.blocks() * from.block_bytes();
    progress_bar        bar{"read", with.out.quiet};
    for (std::uint64_t done = 0; done < bytes;) {
        if (interrupted())
            return failure{exit_code::interrupted, fmt::format("interrupted after {}", human_bytes(done)), with.volume,
                           "run the same command again"};
        const auto part = piece.first(static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), bytes - done)));
        BOOST_OUTCOME_TRY(from.read(done / from.block_bytes(), part));
        BOOST_OUTCOME_TRY(write_all(to, part));
        done += part.size();
        bar.show_bytes(done, bytes);
    }
    return success();
}

/// A file that is larger than the region is refused before a byte is written; a pipe shows its size only at its end.
result<stream> source_of(const context& with, const std::string& path, std::uint64_t room) {
    if (means_standard(path)) return stream{{}, STDIN_FILENO, "standard input"};
    descriptor  file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    struct stat about {};
    if (!file.open() || ::fstat(file.number(), &about) != 0) return system_failure("cannot read the file", path, errno);
    if (S_ISREG(about.st_mode) && static_cast<std::uint64_t>(about.st_size) > room)
        return failure{exit_code::no_space,
                       fmt::format("the file has {} bytes and the region {}; nothing was written", about.st_size, room),
                       with.volume, "add a larger region"};
    const int number = file.number();
    return stream{std::move(file), number, path};
}

/// Fills the piece as far as the input goes. Waits in short pieces, so that Ctrl-C is heard, also at a silent terminal.
result<std::size_t> fill(const stream& from, std::span<std::byte> piece) {
    constexpr int wait_ms = 100;
    std::size_t   filled  = 0;
    while (filled < piece.size() && !interrupted()) {
        pollfd waiting{from.number, POLLIN, 0};
        if (::poll(&waiting, 1, wait_ms) <= 0) continue;
        const auto got = ::read(from.number, piece.data() + filled, piece.size() - filled);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return system_failure("cannot read what the region shall hold", from.name, errno);
        if (got == 0) break;
        filled += static_cast<std::size_t>(got);
    }
    return filled;
}

/// The input, from the region's first block on. What its last block holds beyond the input stays.
/// The answer is the number of bytes.
result<std::uint64_t> copy_in(const context& with, const stream& from, open_region& to, std::span<std::byte> piece) {
    const std::uint64_t    block = to.block_bytes();
    const std::uint64_t    room  = to.blocks() * block;
    std::vector<std::byte> last(to.block_bytes());
    progress_bar           bar{"write", with.out.quiet};
    for (std::uint64_t done = 0;;) {
        BOOST_OUTCOME_TRY(const auto got, fill(from, piece));
        if (interrupted())
            return failure{exit_code::interrupted,
                           fmt::format("interrupted after {}; the region holds a part of the input", human_bytes(done)),
                           with.volume, "run the same command again"};
        if (got == 0) return done;
        if (got > room - done)
            return failure{exit_code::no_space,
                           fmt::format("the region is full: it holds the first {} bytes of the input", done),
                           with.volume, "add a larger region"};
        const auto whole = got / block * block;
        if (whole < got) {
            BOOST_OUTCOME_TRY(to.read((done + whole) / block, last));
            std::copy_n(piece.begin() + static_cast<std::ptrdiff_t>(whole), got - whole, last.begin());
            BOOST_OUTCOME_TRY(to.write((done + whole) / block, last));
        }
        if (whole > 0) { BOOST_OUTCOME_TRY(to.write(done / block, piece.first(whole))); }
        done += got;
        bar.show_bytes(done, 0);
    }
}

}  // namespace

result<exit_code> run_region_read(const context& with, const region_bytes_options& options) {
    if (with.out.json && means_standard(options.file))
        return failure{exit_code::usage, "the bytes and the document both want standard output", with.volume,
                       "name a file for the bytes"};
    BOOST_OUTCOME_TRY(auto on, volume::open_finished(with.volume, access::read_only));
    volume_regions regions{on};
    BOOST_OUTCOME_TRY(auto from, regions.open(options.name));
    BOOST_OUTCOME_TRY(auto memory, piece_for(with));
    BOOST_OUTCOME_TRY(const auto to, target_of(options.file, options.force));
    const auto done = copy_out(with, from, to, memory.bytes());
    if (!done && to.file.open()) ::unlink(to.name.c_str());  // a part of a region is not asked for
    if (!done) return done.error();
    if (!means_standard(options.file))
        with.out.say(fmt::format("wrote {} of {} to {}", human_bytes(from.blocks() * from.block_bytes()),
                                 text_of(options.name), shown(to.name)));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"type", type_text(options.name.type)},
                                     {"number", options.name.number},
                                     {"file", shown(options.file)},
                                     {"bytes", from.blocks() * from.block_bytes()}});
    return exit_code::ok;
}

result<exit_code> run_region_write(const context& with, const region_bytes_options& options) {
    BOOST_OUTCOME_TRY(auto on, volume::open_finished(with.volume, access::read_write));
    volume_regions regions{on};
    BOOST_OUTCOME_TRY(auto to, regions.open(options.name));
    BOOST_OUTCOME_TRY(auto memory, piece_for(with));
    const auto room = to.blocks() * to.block_bytes();
    BOOST_OUTCOME_TRY(const auto from, source_of(with, options.file, room));
    BOOST_OUTCOME_TRY(const auto bytes, copy_in(with, from, to, memory.bytes()));
    BOOST_OUTCOME_TRY(to.sync());
    BOOST_OUTCOME_TRY(on.close());
    with.out.say(fmt::format("wrote {} to {}, which has room for {}", human_bytes(bytes), text_of(options.name),
                             human_bytes(room)));
    with.out.document(with.command, {{"volume", with.volume},
                                     {"type", type_text(options.name.type)},
                                     {"number", options.name.number},
                                     {"file", shown(options.file)},
                                     {"bytes", bytes},
                                     {"region_bytes", room}});
    return exit_code::ok;
}

}  // namespace cli
