/// A log in a region of its own: the region moves while the log is written, and the log never notices.

#include <ashlar/ashlar.hpp>
#include <ashlar/compaction.hpp>

#include <array>
#include <cstdio>
#include <cstring>

namespace {

struct machine : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
using block = std::array<std::byte, 4096>;

constexpr std::uint32_t scratch_type = ashlar::tag_of("SCRT");
constexpr std::uint32_t log_type     = ashlar::tag_of("LOGS");

block entry(std::uint64_t number) {
    block bytes{};
    std::memcpy(bytes.data(), &number, sizeof number);
    return bytes;
}

ashlar::result<> run() {
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({4096}, {8192}));
    BOOST_OUTCOME_TRY(ashlar::store<machine>::format(memory, {.volume = {std::byte{1}}}));
    BOOST_OUTCOME_TRY(auto live, ashlar::store<machine>::open(std::move(memory)));

    // Two regions beside the objects; the first one goes again, and leaves a hole.
    ashlar::store_regions regions{live};
    BOOST_OUTCOME_TRY(const auto scratch, regions.add({.type = scratch_type, .blocks = ashlar::block_count{2000}}));
    BOOST_OUTCOME_TRY(const auto name, regions.add({.type = log_type, .blocks = ashlar::block_count{1000}}));
    BOOST_OUTCOME_TRY(regions.remove(scratch));
    BOOST_OUTCOME_TRY(live.checkpoint());
    BOOST_OUTCOME_TRY(const auto before, regions.find(name));

    // A region is a device: blocks count from 0, wherever it lies.
    BOOST_OUTCOME_TRY(auto log, regions.open(name));
    BOOST_OUTCOME_TRY(auto task, ashlar::compaction<machine>::open(live));
    std::uint64_t written = 0;
    for (bool more = true; more; ++written) {
        BOOST_OUTCOME_TRY(log.write({ashlar::block_index{written}, ashlar::block_count{1}}, entry(written)));
        more = !task.step({.blocks_max = 64}).reasons.has(ashlar::stop_reason::finished);
    }
    BOOST_OUTCOME_TRY(log.sync());

    BOOST_OUTCOME_TRY(const auto after, regions.find(name));
    std::printf("the log moved from block %llu to %llu while %llu entries were written\n",
                static_cast<unsigned long long>(before.place.first.value),
                static_cast<unsigned long long>(after.place.first.value), static_cast<unsigned long long>(written));
    for (std::uint64_t i = 0; i < written; ++i) {
        block seen{};
        BOOST_OUTCOME_TRY(log.read({ashlar::block_index{i}, ashlar::block_count{1}}, seen));
        if (seen != entry(i)) return ashlar::errc::damaged;
    }
    if (after.place.first >= before.place.first) return ashlar::errc::no_contiguous_space;
    return live.close();
}

}  // namespace

int main() {
    const auto done = run();
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
