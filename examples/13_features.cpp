/// Bytes of one's own in every object record, added to a store in use, and carried along when the volume is copied.

#include <ashlar/ashlar.hpp>
#include <ashlar/feature_addition.hpp>
#include <ashlar/volume_copy.hpp>

#include <array>
#include <cstdio>

namespace {

struct archive : ashlar::blueprint {
    using device    = ashlar::memory_device;
    using journal   = ashlar::ring_journal;
    using threading = ashlar::single_threaded;
};
using archive_store = ashlar::store<archive>;

/// A feature is named by a bit of the volume's manifest: builds that do not know it keep what it owns.
constexpr ashlar::feature_request owner_tags{.bit = 3, .record_bytes = 8};
using owner_tag = std::array<std::byte, 8>;

ashlar::result<archive_store> make(std::byte number, std::uint32_t record_bytes, std::uint32_t inline_extents = 0) {
    BOOST_OUTCOME_TRY(auto memory, ashlar::memory_device::create({4096}, {8192}));
    BOOST_OUTCOME_TRY(archive_store::format(
        memory, {.volume = {number}, .record_bytes = record_bytes, .inline_extents = inline_extents}));
    return archive_store::open(std::move(memory));
}

ashlar::result<> run() {
    BOOST_OUTCOME_TRY(auto live, make(std::byte{1}, ashlar::object_record_bytes));
    BOOST_OUTCOME_TRY(const auto report, live.create());

    // Records are full, so they must become wider first: that is said before anything is written.
    ashlar::feature_addition adding{live, owner_tags};
    BOOST_OUTCOME_TRY(const auto plan, adding.plan());
    if (plan.obstacle != ashlar::errc::none) return plan.obstacle;
    std::printf("by %s, to records of %u bytes\n",
                plan.way == ashlar::feature_way::record_migration ? "a migration" : "another way", plan.width);
    for (ashlar::progress said; !said.reasons.has(ashlar::stop_reason::finished);) {
        said = adding.step({.blocks_max = 4});
        if (said.failure.code != ashlar::errc::none) return said.failure;
        BOOST_OUTCOME_TRY(live.append(report, owner_tag{}));  // the store goes on meanwhile
    }

    owner_tag tag{std::byte{0x07}, std::byte{0x42}}, seen{};
    BOOST_OUTCOME_TRY(ashlar::store_features{live}.write(report, owner_tags.bit, tag));
    BOOST_OUTCOME_TRY(live.sync());

    // A copy has the same features. Its records need room for them; how much, a plan says too.
    BOOST_OUTCOME_TRY(auto other, make(std::byte{2}, plan.width, live.volume().inline_extents));
    using copying = ashlar::volume_copy<archive, archive>;
    BOOST_OUTCOME_TRY(const auto room, copying::plan_features(live, other));
    if (room.obstacle != ashlar::errc::none) return room.obstacle;
    BOOST_OUTCOME_TRY(auto copy, copying::open(live, other));
    for (ashlar::progress said; !said.reasons.has(ashlar::stop_reason::finished);) {
        said = copy.step();
        if (said.failure.code != ashlar::errc::none) return said.failure;
    }
    BOOST_OUTCOME_TRY(ashlar::store_features{other}.read(report, owner_tags.bit, seen));
    if (seen != tag) return ashlar::errc::damaged;
    std::printf("the copy knows the owner too\n");
    return ashlar::success();
}

}  // namespace

int main() {
    const auto done = run();
    if (!done) std::fprintf(stderr, "%s\n", ashlar::message(done.error().code));
    return done ? 0 : 1;
}
