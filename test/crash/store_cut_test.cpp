#include "crash_fixture.hpp"

namespace ashlar::test {
namespace {

constexpr crash_effort thorough{.random_max = 2, .single_max = 8, .tears_max = 16, .seed = 7};

void print(const char* what, const history& log, std::uint64_t states) {
    std::printf("%s: %llu writes, %llu states\n", what, static_cast<unsigned long long>(log.device_writes),
                static_cast<unsigned long long>(states));
}

/// A history is only worth its name when it is long and laps the ring.
void expect_laps(const history& log) {
    const auto    first       = frame_home(frame::count, {log.shape.block_bytes}).value;
    std::uint64_t ring_blocks = 0;
    for (const auto& call : log.calls) {
        const auto at = call.blocks.first.value;
        if (call.kind == transfer_kind::write && at >= first && at < first + log.shape.journal_blocks)
            ring_blocks += call.blocks.count.value;
    }
    EXPECT_GT(ring_blocks, 2 * log.shape.journal_blocks) << "the scenario is too short for its ring";
    EXPECT_GE(log.device_writes, 200U);
}

TEST(StoreCut, C2CommitKeepsAcknowledgedWorkAtEachWriteAndSector) {
    for (std::uint64_t seed = 1; seed <= scaled(3); ++seed) {
        const auto log = record_scenario({}, seed, 600);
        expect_laps(log);
        print("commit", log, cut_everywhere(log, thorough));
    }
}

TEST(StoreCut, C2CommitKeepsAcknowledgedWorkOnBlocksOf4096) {
    const auto log = record_scenario({.block_bytes = 4096, .blocks = 600, .journal_blocks = 64}, 11, 400,
                                     {.bytes_max = 20'000, .size_max = 90'000});
    EXPECT_GE(log.device_writes, 200U);
    print("commit, blocks of 4096", log,
          cut_everywhere(log, {.random_max = 1, .single_max = 4, .tears_max = 8, .seed = 3}));
}

TEST(StoreCut, C3CheckpointIsWholeAtEachWriteAndSector) {
    const auto log = record_scenario({}, 21, 260, {.sync = 10, .checkpoint = 14});
    print("checkpoint", log, cut_everywhere(log, thorough));
}

TEST(StoreCut, C4CloseAndOpenAreWholeAtEachWriteAndSector) {
    const auto log = record_scenario({}, 31, 240, {}, 12);
    print("close and open", log, cut_everywhere(log, thorough));
}

TEST(StoreCut, C5RecoveryMayBeCutAtEachWriteAndRunsAgain) {
    const auto log = record_scenario({}, 41, 150);
    print("recovery", log,
          cut_recovery_everywhere(log, {.random_max = 1, .single_max = 2, .tears_max = 4, .seed = 5}, 23));
}

}  // namespace
}  // namespace ashlar::test
