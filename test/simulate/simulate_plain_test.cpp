// A store without checksums and with another policy, as a small machine would have it.

#include "simulate_fixture.hpp"

#include <ashlar/checksum/no_checksum.hpp>
#include <ashlar/defrag_policy/threshold_policy.hpp>

namespace ashlar::test {
namespace simulate_plain_test {

struct plain_blueprint : blueprint {
    using device    = memory_device;
    using journal   = ring_journal;
    using threading = single_threaded;
    using checksum  = no_checksum;
    using defrag    = threshold_policy;
};

TEST(SimulatePlain, AStoreWithoutChecksumsKeepsItsPromisesWhereTheDeviceDoesNotRot) {
    const auto seeds  = scaled(400);
    const auto counts = expect_all_hold<plain_blueprint>(9'000'000, seeds, {});
    if (testing::Test::HasFailure() || seeds < 100) return;
    EXPECT_GT(counts.steps, 20 * seeds);
    EXPECT_GT(counts.cuts * 4, seeds);
    EXPECT_EQ(counts.noticed, 0U);
}

}  // namespace simulate_plain_test
}  // namespace ashlar::test
