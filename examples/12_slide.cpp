/// A region slides into a gap that is smaller than itself: stopped half way, read and written in parts, and finished.

#include <ashlar/ashlar.hpp>
#include <ashlar/compaction.hpp>

#include <array>
#include <cstdio>
#include <vector>

namespace {

struct machine : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};

ashlar::result<> run() {
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({4096}, {4096}));
    BOOST_OUTCOME_TRY(ashlar::store<machine>::format(memory, {.volume = {std::byte{1}}}));
    BOOST_OUTCOME_TRY(auto live, ashlar::store<machine>::open(std::move(memory)));

    // A gap of 300 blocks, and a region of 2000 behind it: nothing holds it whole below its place.
    ashlar::store_regions regions{live};
    BOOST_OUTCOME_TRY(const auto gap, regions.add({.type = ashlar::tag_of("GAPS"), .blocks = {300}}));
    BOOST_OUTCOME_TRY(const auto name, regions.add({.type = ashlar::tag_of("DATA"), .blocks = {2000}}));
    BOOST_OUTCOME_TRY(auto data, regions.open(name));
    std::vector<std::byte> bytes(std::size_t{2000} * 4096, std::byte{0x5A}), seen(bytes.size());
    BOOST_OUTCOME_TRY(data.write({{0}, {2000}}, bytes));
    BOOST_OUTCOME_TRY(regions.remove(gap));
    BOOST_OUTCOME_TRY(live.checkpoint());
    BOOST_OUTCOME_TRY(const auto before, regions.find(name));

    {
        BOOST_OUTCOME_TRY(auto task, ashlar::compaction<machine>::open(live, {.regions = {.threshold_permille = 1}}));
        for (int i = 0; i < 10; ++i) static_cast<void>(task.step({.blocks_max = 100}));
    }  // given up half way: the region lies in parts, and is used as ever
    std::array<ashlar::region_row, ashlar::region_slots> rows;
    BOOST_OUTCOME_TRY(const auto parts, regions.report(rows));
    std::printf("%llu blocks lie in their new place\n", static_cast<unsigned long long>(parts.slid.value));
    if (parts.slid.value == 0) return ashlar::errc::damaged;
    BOOST_OUTCOME_TRY(data.read({{0}, {2000}}, seen));
    if (seen != bytes) return ashlar::errc::damaged;

    BOOST_OUTCOME_TRY(auto task, ashlar::compaction<machine>::open(live));
    for (ashlar::progress said; !said.reasons.has(ashlar::stop_reason::finished);) {
        said = task.step({.blocks_max = 256});
        if (said.failure.code != ashlar::errc::none) return said.failure;
    }
    BOOST_OUTCOME_TRY(const auto after, regions.find(name));
    std::printf("it slid from block %llu to %llu\n", static_cast<unsigned long long>(before.place.first.value),
                static_cast<unsigned long long>(after.place.first.value));
    BOOST_OUTCOME_TRY(data.read({{0}, {2000}}, seen));
    if (seen != bytes || after.place.first >= before.place.first) return ashlar::errc::damaged;
    return live.close();
}

}  // namespace

int main() {
    const auto done = run();
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
