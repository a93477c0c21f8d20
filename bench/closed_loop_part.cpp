/// Reads and copies files of another file system, for defrag_peers_bench.py; prints a line of JSON.
///
///   closed_loop_part read FILE         4 KiB at a time from anywhere, until the standard input ends
///   closed_loop_part copy FROM TO SEC  raw copy, for so many seconds

#include "raw_copy.hpp"

#include <poll.h>
#include <sys/stat.h>

#include <string_view>

namespace {

using namespace bench;

std::uint64_t size_of(const std::string& path) {
    struct stat seen {};
    if (::stat(path.c_str(), &seen) != 0) give_up("cannot find " + path);
    return static_cast<std::uint64_t>(seen.st_size);
}

int read_until_told(const std::string& path) {
    constexpr std::size_t piece = 4096;
    const direct_file     file{path, false};
    const page_memory     memory{piece};
    const auto            blocks = size_of(path) / piece;
    random_numbers        random{17};
    std::atomic<bool>     told{false};
    std::thread           listener{[&told] {
        char byte = 0;
        while (::read(STDIN_FILENO, &byte, 1) > 0) {}
        told = true;
    }};
    const stopwatch       watch;
    const auto            times = closed_loop(
        [&] {
            file.read(memory.data(), piece, random.below(blocks) * piece);
            return true;
        },
        [&told](std::uint64_t) { return told.load(std::memory_order_relaxed); });
    const auto seconds = watch.seconds();
    listener.join();
    std::printf("{\"reads\": %zu, \"seconds\": %.3f, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f}\n", times.count(),
                seconds, times.microseconds(0.5), times.microseconds(0.99), times.microseconds(0.999));
    return 0;
}

int copy_for(const std::string& from, const std::string& to, double seconds) {
    const auto bytes = std::min(size_of(from), size_of(to)) / raw_chunk * raw_chunk;
    raw_copier copier{from, to, {{{0, bytes}}, {0, bytes}}, raw_chunk, raw_depth};
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    std::printf("{\"megabytes_per_second\": %.1f}\n", copier.stop());
    return 0;
}

}  // namespace

int main(int count, char** words) {
    const std::string_view verb = count > 1 ? words[1] : "";
    if (verb == "read" && count == 3) return read_until_told(words[2]);
    if (verb == "copy" && count == 5) return copy_for(words[2], words[3], std::strtod(words[4], nullptr));
    std::fprintf(stderr, "usage: %s read FILE | copy FROM TO SECONDS\n", words[0]);
    return 2;
}
