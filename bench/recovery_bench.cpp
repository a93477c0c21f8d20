/// G10: how long opening takes after a crash.
///
/// Against the journal: overwrites fill the ring to so many MiB without a checkpoint, the store is abandoned as a crash
/// would leave it, and the open is timed. A counting device says how much the open reads; the peer reads as many bytes
/// from the ring, in transfers of the size that the journal's memory allows, so that the ratio says how far recovery is
/// from the speed of the disk. Against the size: the same crash on sparse volumes of 10 GiB and of 10 TiB. After a
/// close: what is left of an open that has nothing to recover.

#include "measure.hpp"
#include "raw_sync.hpp"
#include "report.hpp"

#include <ashlar/ashlar.hpp>
#include <ashlar/device/file_device.hpp>

#include <cmath>
#include <filesystem>

namespace {

using namespace ashlar;

constexpr block_size size{4096};

/// A file that counts what is asked of it, and how long it took.
class counted_file {
  public:
    struct counts {
        std::uint64_t bytes = 0;  ///< Read.
        std::uint64_t reads[2]{}, writes = 0, syncs = 0;
        double        read_seconds[2]{}, write_seconds = 0, sync_seconds = 0;  ///< Of reads: one block; more.
    };

    counted_file(file_device file, counts& seen) noexcept : file_{std::move(file)}, seen_{&seen} {}

    [[nodiscard]] device_geometry geometry() const noexcept { return file_.geometry(); }

    [[nodiscard]] result<> read(extent e, std::span<std::byte> in) noexcept {
        const bench::stopwatch clock;
        auto                   done = file_.read(e, in);
        const bool             many = e.count.value > 1;
        seen_->bytes += in.size();
        ++seen_->reads[many];
        seen_->read_seconds[many] += clock.seconds();
        return done;
    }
    [[nodiscard]] result<> write(extent e, std::span<const std::byte> out) noexcept {
        const bench::stopwatch clock;
        auto                   done = file_.write(e, out);
        ++seen_->writes;
        seen_->write_seconds += clock.seconds();
        return done;
    }
    [[nodiscard]] result<> sync() noexcept {
        const bench::stopwatch clock;
        auto                   done = file_.sync();
        ++seen_->syncs;
        seen_->sync_seconds += clock.seconds();
        return done;
    }
    [[nodiscard]] result<> trim(extent e) noexcept { return file_.trim(e); }

  private:
    file_device file_;
    counts*     seen_;
};

struct counted_parts : blueprint {
    using device    = counted_file;
    using journal   = ring_journal;
    using threading = single_threaded;
};
using counted_store = store<counted_parts>;

struct crash {
    double               open_seconds = 0;
    double               raw_seconds  = 0;  ///< For reading as much from the ring as the open read.
    double               once_seconds = 0;  ///< For reading the batches once.
    double               cpu_seconds  = 0;  ///< Of the open, in the program and in the kernel.
    counted_file::counts seen{};
};

result<counted_file> open_file(const std::string& path, counted_file::counts& seen) {
    BOOST_OUTCOME_TRY(auto file, file_device::open(path.c_str()));
    return counted_file{std::move(file), seen};
}

result<> format_file(const std::string& path, std::uint64_t bytes, block_count journal) {
    BOOST_OUTCOME_TRY(auto file, file_device::open(path.c_str(), {.create = true, .bytes = bytes}));
    counted_file::counts seen;
    counted_file         device{std::move(file), seen};
    BOOST_OUTCOME_TRY(counted_store::format(device, {.volume = volume_id{std::byte{10}}, .journal_blocks = journal}));
    BOOST_OUTCOME_TRY(auto made, counted_store::open(std::move(device)));
    const std::vector<std::byte> content(std::size_t{1} << 20U, std::byte{0x5A});
    for (int i = 0; i < 64; ++i) { BOOST_OUTCOME_TRY(made.append(made.root(), content)); }
    return made.close();
}

/// Overwrites random blocks, 16 a commit, until the ring holds enough; then nothing is closed. Answers where it lies.
result<extent> crash_with(const std::string& path, std::uint64_t journal_bytes) {
    counted_file::counts seen;
    BOOST_OUTCOME_TRY(auto device, open_file(path, seen));
    BOOST_OUTCOME_TRY(auto store, counted_store::open(std::move(device)));
    bench::random_numbers        random{journal_bytes};
    const std::vector<std::byte> content(size.bytes, std::byte{0xA5});
    BOOST_OUTCOME_TRY(store.checkpoint());
    while (bytes_of(store.info().journal_used, size) < journal_bytes) {
        for (int i = 0; i < 16; ++i) {
            BOOST_OUTCOME_TRY(store.write(store.root(), random.below(16384) * size.bytes, content));
        }
        BOOST_OUTCOME_TRY(store.sync());
    }
    const auto journal = store.info().journal;
    static_cast<void>(store.abandon());
    return journal;
}

result<double> read_raw(const std::string& path, extent ring, std::uint64_t bytes) {
    BOOST_OUTCOME_TRY(auto file, file_device::open(path.c_str()));
    const auto transfer = volume_limits{}.journal_bytes;
    BOOST_OUTCOME_TRY(auto memory, aligned_buffer::allocate(transfer));
    const auto             run = whole_blocks(transfer, size);
    const bench::stopwatch clock;
    block_count            at{};
    for (std::uint64_t done = 0; done < bytes; done += transfer) {
        if (at + run > ring.count) at = {};
        BOOST_OUTCOME_TRY(file.read({ring.first + at, run}, memory.bytes()));
        at += run;
    }
    return clock.seconds();
}

result<crash> crash_and_open(const std::string& path, std::uint64_t journal_bytes) {
    BOOST_OUTCOME_TRY(const auto ring, crash_with(path, journal_bytes));
    crash                answer;
    counted_file::counts seen;
    BOOST_OUTCOME_TRY(auto device, open_file(path, seen));
    const double           cpu = bench::thread_seconds();
    const bench::stopwatch clock;
    BOOST_OUTCOME_TRY(auto store, counted_store::open(std::move(device)));
    answer.open_seconds = clock.seconds();
    answer.cpu_seconds  = bench::thread_seconds() - cpu;
    answer.seen         = seen;
    if (store.recovered().was_clean) return errc::unclean;  // then nothing was measured
    BOOST_OUTCOME_TRY(store.close());
    BOOST_OUTCOME_TRY(answer.raw_seconds, read_raw(path, ring, answer.seen.bytes));
    BOOST_OUTCOME_TRY(answer.once_seconds, read_raw(path, ring, journal_bytes));
    return answer;
}

std::string mebibytes(std::uint64_t bytes) { return std::to_string(bytes >> 20U) + " MiB"; }

/// The ring of 64 MiB is what a volume of 2 GiB or more gets unasked.
result<> against_the_journal(const std::string& folder, int rounds) {
    constexpr std::uint64_t volume = std::uint64_t{1} << 30U;
    const auto              path   = folder + "/journal.ash";
    const std::string       plot   = "open after a crash: ms by MiB of journal in a ring of 64 MiB";
    if (!bench::preallocate(path, volume)) return errc::device_failed;
    BOOST_OUTCOME_TRY(format_file(path, volume, block_count{16384}));
    for (const std::uint64_t journal : {std::uint64_t{2} << 20U, std::uint64_t{16} << 20U, std::uint64_t{48} << 20U}) {
        std::vector<double> ours, peer, once, ratios;
        crash               last;
        for (int round = 0; round < rounds; ++round) {
            BOOST_OUTCOME_TRY(last, crash_and_open(path, journal));
            ours.push_back(last.open_seconds * 1e3);
            peer.push_back(last.raw_seconds * 1e3);
            once.push_back(last.once_seconds * 1e3);
            ratios.push_back(last.open_seconds / last.raw_seconds);
        }
        const auto& seen = last.seen;
        const auto  read = static_cast<double>(seen.bytes) / (1 << 20);
        std::printf(
            "%s of journal, the last open, %.1f ms, %.1f of them CPU: %.1f MiB read; ms and calls: reads of one block "
            "%.1f %llu, "
            "longer reads %.1f %llu, writes %.1f %llu, syncs %.1f %llu\n",
            mebibytes(journal).c_str(), last.open_seconds * 1e3, last.cpu_seconds * 1e3, read,
            seen.read_seconds[0] * 1e3, static_cast<unsigned long long>(seen.reads[0]), seen.read_seconds[1] * 1e3,
            static_cast<unsigned long long>(seen.reads[1]), seen.write_seconds * 1e3,
            static_cast<unsigned long long>(seen.writes), seen.sync_seconds * 1e3,
            static_cast<unsigned long long>(seen.syncs));
        bench::row row{.id        = "G10",
                       .measure   = "open after a crash with " + mebibytes(journal) + " of journal",
                       .ours      = bench::median(ours),
                       .peer      = bench::median(peer),
                       .peer_name = "reading as much as the open reads, " + std::to_string(std::lround(read)) + " MiB",
                       .unit      = "ms",
                       .direction = bench::better::lower,
                       .floor     = 1.5,
                       .goal      = 1.25,
                       .ratio     = bench::median(ratios)};
        bench::report(row);
        row.peer      = bench::median(once);
        row.peer_name = "reading these batches once";
        row.floor = row.goal = row.ratio = 0;
        bench::report(row);
        const auto x = static_cast<double>(journal >> 20U);
        bench::point(plot, "open", x, bench::median(ours));
        bench::point(plot, "reading as much as the open reads", x, bench::median(peer));
        bench::point(plot, "reading the batches once", x, bench::median(once));
    }
    return success();
}

result<> against_the_size(const std::string& folder, int rounds) {
    constexpr std::uint64_t journal = std::uint64_t{16} << 20U;
    const std::string       paths[] = {folder + "/small.ash", folder + "/large.ash"};
    constexpr std::uint64_t bytes[] = {std::uint64_t{10} << 30U, std::uint64_t{10} << 40U};
    std::vector<double>     seconds[2], ratios;
    for (int i = 0; i < 2; ++i) { BOOST_OUTCOME_TRY(format_file(paths[i], bytes[i], block_count{8192})); }
    for (int round = 0; round < rounds; ++round) {
        for (int i = 0; i < 2; ++i) {
            BOOST_OUTCOME_TRY(const auto seen, crash_and_open(paths[i], journal));
            seconds[i].push_back(seen.open_seconds * 1e3);
        }
        ratios.push_back(seconds[1].back() / seconds[0].back());
    }
    bench::report({.id        = "G10",
                   .measure   = "open after the same crash, sparse volume of 10 TiB",
                   .ours      = bench::median(seconds[1]),
                   .peer      = bench::median(seconds[0]),
                   .peer_name = "of 10 GiB",
                   .unit      = "ms",
                   .direction = bench::better::lower,
                   .floor     = 1.25,
                   .goal      = 1.1,
                   .ratio     = bench::median(ratios)});
    return success();
}

/// A volume that was closed: its ring stays unread.
result<> after_a_close(const std::string& folder, int rounds) {
    constexpr std::uint64_t volume = std::uint64_t{20} << 30U;
    const auto              path   = folder + "/closed.ash";
    BOOST_OUTCOME_TRY(format_file(path, volume, block_count{}));
    std::vector<double> ours, peer, ratios;
    std::uint64_t       ring = 0;
    for (int round = 0; round < rounds; ++round) {
        counted_file::counts seen;
        BOOST_OUTCOME_TRY(auto device, open_file(path, seen));
        const bench::stopwatch clock;
        BOOST_OUTCOME_TRY(auto store, counted_store::open(std::move(device)));
        ours.push_back(clock.seconds() * 1e3);
        const auto opening = seen;
        if (!store.recovered().was_clean) return errc::unclean;
        const auto journal = store.info().journal;
        BOOST_OUTCOME_TRY(store.close());
        ring = bytes_of(journal.count, size);
        BOOST_OUTCOME_TRY(const auto raw, read_raw(path, journal, ring));
        peer.push_back(raw * 1e3);
        ratios.push_back(ours.back() / peer.back());
        if (round == 0)
            std::printf("after a close: %.0f KiB read in %llu reads; %llu writes, %llu syncs\n",
                        static_cast<double>(opening.bytes) / 1024,
                        static_cast<unsigned long long>(opening.reads[0] + opening.reads[1]),
                        static_cast<unsigned long long>(opening.writes),
                        static_cast<unsigned long long>(opening.syncs));
    }
    bench::report({.id        = "G10",
                   .measure   = "open of a volume of 20 GiB that was closed",
                   .ours      = bench::median(ours),
                   .peer      = bench::median(peer),
                   .peer_name = "reading its ring, " + mebibytes(ring),
                   .unit      = "ms",
                   .direction = bench::better::lower,
                   .ratio     = bench::median(ratios)});
    return success();
}

}  // namespace

int main(int count, char** words) {
    const auto chosen = bench::settings_of(count, words);
    const auto folder = chosen.directory + "/recovery_bench";
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
    auto done = against_the_journal(folder, chosen.quick ? 1 : 3);
    if (done) done = against_the_size(folder, chosen.quick ? 1 : 5);
    if (done) done = after_a_close(folder, chosen.quick ? 1 : 11);
    std::filesystem::remove_all(folder);
    if (!done) std::fprintf(stderr, "recovery_bench: %s\n", message(done.error().code));
    return done ? 0 : 1;
}
