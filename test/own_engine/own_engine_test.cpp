/// The example engine on devices that lose power, fail and rot: its own crash safety, and that moves do not weaken it.

#include "../../examples/own_engine/content.hpp"
#include "../../examples/own_engine/tidier.hpp"

#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/faulty_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <gtest/gtest.h>

namespace own_engine_test {

using namespace own_engine;

/// A device of ashlar as the engine wants one.
template <class Inner>
struct adapted {
    Inner& inner;

    [[nodiscard]] std::uint64_t blocks() const noexcept { return inner.geometry().blocks.value; }
    [[nodiscard]] bool          read(std::uint64_t first, std::span<std::byte> into) noexcept {
                 return inner.read({{first}, {into.size() / block_bytes}}, into).has_value();
    }
    [[nodiscard]] bool write(std::uint64_t first, std::span<const std::byte> from) noexcept {
        return inner.write({{first}, {from.size() / block_bytes}}, from).has_value();
    }
    [[nodiscard]] bool sync() noexcept { return inner.sync().has_value(); }
};
using plain    = adapted<ashlar::memory_device>;
using recorded = adapted<ashlar::recording_device<ashlar::memory_device>>;
using faulty   = adapted<ashlar::faulty_device<ashlar::memory_device>>;

ashlar::memory_device memory_of(std::uint64_t blocks) {
    return ashlar::memory_device::create({block_bytes}, {blocks}).value();
}

/// Version and size of each key: all that there is to know of a state.
using contents = std::map<std::uint64_t, std::pair<std::uint64_t, std::uint64_t>>;

/// Empty when a value is not right in every byte.
template <class Device>
std::optional<contents> contents_of(value_log<Device>& log) {
    contents seen;
    for (const auto& one : log.list()) {
        bytes      value;
        const auto key = std::stoull(one.key.substr(4));
        if (log.get(one.key, value) != status::ok || value.size() != one.size) return std::nullopt;
        const auto version = version_of(key, value);
        if (!version) return std::nullopt;
        seen[key] = {*version, one.size};
    }
    return seen;
}

/// A name so long that the index's records are of several sectors and blocks, so that they can be torn.
std::string long_name(std::uint64_t key) { return name_of(key) + std::string(900, ' '); }

/// Keys 1 to `keys`, grown in turns.
template <class Device>
void scatter(value_log<Device>& log, std::uint64_t keys, std::uint64_t rounds, std::uint64_t each = payload_bytes,
             std::string (*name)(std::uint64_t) = name_of) {
    for (std::uint64_t round = 0; round < rounds; ++round) {
        for (std::uint64_t key = 1; key <= keys; ++key)
            ASSERT_EQ(log.append(name(key), content(key, key, round * each, each)), status::ok);
    }
    ASSERT_EQ(log.sync(), status::ok);
}

template <class Device>
std::size_t pieces_of(value_log<Device>& log) {
    std::size_t most = 0;
    for (const auto& one : log.list()) most = std::max(most, one.pieces);
    return most;
}

template <class Device>
tidiness tidy_up(value_log<Device>& log) {
    tidier<Device> tidy{log};
    auto           how = tidiness::more_to_do;
    for (int steps = 0; steps < 10'000 && how == tidiness::more_to_do; ++steps) how = tidy.step(8);
    EXPECT_TRUE(tidy.stop());
    return how;
}

/// What was done while a device was recorded.
struct history {
    std::vector<contents>                            states{1};             ///< After each change.
    std::vector<std::size_t>                         begun{0};              ///< Calls of the device before the change.
    std::vector<std::pair<std::size_t, std::size_t>> acknowledged{{0, 0}};  ///< Calls, states that a sync covers.
    std::uint64_t                                    moves = 0;
};

/// Changes and syncs between steps of the defragmenter that are too short for a move.
history change_and_move(value_log<recorded>& log, const std::vector<ashlar::recorded_call>& calls, contents from) {
    history          done;
    tidier<recorded> tidy{log};
    dice             rolls{5};
    done.states.front() = std::move(from);
    for (std::uint64_t version = 100; version < 125; ++version) {
        auto       now  = done.states.back();
        const auto key  = 1 + rolls.roll(5);
        const auto more = 8 + rolls.roll(9000);
        done.begun.push_back(calls.size());
        if (version % 5 == 0 && now.erase(key) == 1) {
            EXPECT_EQ(log.erase(long_name(key)), status::ok);
        } else if (version % 2 == 0 && now.contains(key)) {
            auto& [old, size] = now[key];
            EXPECT_EQ(log.append(long_name(key), content(key, old, size, more)), status::ok);
            size += more;
        } else {
            EXPECT_EQ(log.put(long_name(key), content(key, version, 0, more)), status::ok);
            now[key] = {version, more};
        }
        done.states.push_back(std::move(now));
        for (int steps = 0; steps < 3; ++steps) EXPECT_NE(tidy.step(3), tidiness::failing);
        if (version % 3 != 0) continue;
        EXPECT_EQ(log.sync(), status::ok);
        done.acknowledged.push_back({calls.size(), done.states.size() - 1});
    }
    done.moves = tidy.done().moves;
    EXPECT_TRUE(tidy.stop());
    return done;
}

TEST(OwnEngine, APowerCutAtAnyWriteLeavesTheStateOfOneChangeAndNoneOfAMove) {
    auto                     memory = memory_of(128);
    ashlar::recording_device device{memory};
    recorded                 ground{device};
    value_log<recorded>      log{ground};
    ASSERT_EQ(log.format(), status::ok);
    scatter(log, 5, 5, 3000, long_name);
    const bytes base{memory.bytes().begin(), memory.bytes().end()};
    device.forget();
    const auto done = change_and_move(log, device.calls(), contents_of(log).value());
    EXPECT_GT(done.moves, 5U);
    value_log<recorded> again{ground};
    ASSERT_EQ(again.open(), status::ok);
    EXPECT_EQ(again.free_blocks(), log.free_blocks()) << "what is in use is what the index says";

    std::uint64_t number = 0;
    const auto    check  = [&](const ashlar::crash_point& at, std::span<std::byte> image) {
        auto             lent = ashlar::memory_device::lend(image, {block_bytes}).value();
        plain            after{lent};
        value_log<plain> found{after};
        EXPECT_EQ(found.open(), status::ok);
        const auto  seen  = contents_of(found);
        std::size_t first = 0, last = 0;
        for (const auto& [calls, state] : done.acknowledged) first = calls <= at.calls ? state : first;
        for (std::size_t i = 0; i < done.begun.size(); ++i) last = done.begun[i] <= at.calls ? i : last;
        bool known = false;
        for (auto i = first; i <= last; ++i) known = known || seen == done.states[i];
        EXPECT_TRUE(known) << "after " << at.calls << " calls, outcome " << static_cast<int>(at.choice.keep);
        if (++number % 32 == 0) {  // and moves go on from there
            EXPECT_NE(tidy_up(found), tidiness::failing);
            EXPECT_EQ(contents_of(found), seen);
        }
        return !testing::Test::HasFailure();
    };
    const ashlar::crash_effort effort{.random_max = 3, .single_max = 12, .tears_max = 12};
    EXPECT_GT(ashlar::crash_states(device.calls(), base, {block_bytes}, effort, check), 1000U);
}

TEST(OwnEngine, ValuesThatGrewInTurnsComeTogetherAndStayThemselves) {
    auto             memory = memory_of(512);
    plain            device{memory};
    value_log<plain> log{device};
    ASSERT_EQ(log.format(), status::ok);
    scatter(log, 6, 20);
    EXPECT_EQ(pieces_of(log), 20U);
    const auto before = contents_of(log);
    EXPECT_EQ(tidy_up(log), tidiness::tidy);
    EXPECT_EQ(pieces_of(log), 1U);
    value_log<plain> again{device};
    ASSERT_EQ(again.open(), status::ok);
    EXPECT_EQ(pieces_of(again), 1U) << "a move is durable when the defragmenter has stopped";
    EXPECT_EQ(contents_of(again), before);
    EXPECT_EQ(again.free_blocks(), log.free_blocks());
}

TEST(OwnEngine, WhereFreeSpaceIsCrumbsShortRangesMakeRoomForLongOnes) {
    auto             memory = memory_of(256);
    plain            device{memory};
    value_log<plain> log{device};
    ASSERT_EQ(log.format(), status::ok);
    scatter(log, 8, 30);  // all blocks of the data area
    EXPECT_EQ(log.free_blocks(), 0U);
    for (std::uint64_t key = 1; key <= 4; ++key) ASSERT_EQ(log.erase(name_of(key)), status::ok);
    ASSERT_EQ(log.sync(), status::ok);  // runs of four blocks are free, and no value has fewer than thirty
    EXPECT_EQ(tidy_up(log), tidiness::tidy);
    EXPECT_EQ(pieces_of(log), 1U);
}

TEST(OwnEngine, ACopyThatRacesWithAnAppendIsMadeAgain) {
    auto             memory = memory_of(256);
    plain            device{memory};
    value_log<plain> log{device};
    ASSERT_EQ(log.format(), status::ok);
    scatter(log, 2, 10);
    tidier<plain> tidy{log};
    while (!tidy.is_moving()) ASSERT_EQ(tidy.step(2), tidiness::more_to_do);
    for (std::uint64_t key = 1; key <= 2; ++key)
        ASSERT_EQ(log.append(name_of(key), content(key, key, 10 * payload_bytes, 100)), status::ok);
    auto how = tidiness::more_to_do;
    while (how == tidiness::more_to_do) how = tidy.step(64);
    EXPECT_EQ(how, tidiness::tidy);
    EXPECT_GT(tidy.done().races, 0U);
    EXPECT_EQ(pieces_of(log), 1U);
    EXPECT_EQ(contents_of(log), (contents{{1, {1, 10 * payload_bytes + 100}}, {2, {2, 10 * payload_bytes + 100}}}));
}

TEST(OwnEngine, AValueErasedUnderAMoveIsGoneAndItsBlocksAreFree) {
    auto             memory = memory_of(256);
    plain            device{memory};
    value_log<plain> log{device};
    ASSERT_EQ(log.format(), status::ok);
    const auto free = log.free_blocks();
    scatter(log, 2, 10);
    tidier<plain> tidy{log};
    while (!tidy.is_moving()) ASSERT_EQ(tidy.step(2), tidiness::more_to_do);
    ASSERT_EQ(log.erase(name_of(1)), status::ok);
    ASSERT_EQ(log.erase(name_of(2)), status::ok);
    while (tidy.step(64) == tidiness::more_to_do) {}
    EXPECT_TRUE(tidy.stop());
    ASSERT_EQ(log.sync(), status::ok);
    EXPECT_EQ(log.free_blocks(), free);
}

TEST(OwnEngine, RotIsNotCopiedOn) {
    auto                  memory = memory_of(256);
    ashlar::faulty_device device{memory};
    faulty                ground{device};
    value_log<faulty>     log{ground};
    ASSERT_EQ(log.format(), status::ok);
    scatter(log, 2, 10);
    const auto first_data = 2U * std::max(256U / 32U, 4U);
    memory.bytes()[first_data * block_bytes + 7] ^= std::byte{1};
    tidier<faulty> tidy{log};
    auto           how = tidiness::more_to_do;
    while (how == tidiness::more_to_do) how = tidy.step(64);
    EXPECT_EQ(how, tidiness::failing);
    EXPECT_EQ(tidy.failure().code, ashlar::errc::checksum_differs);
    EXPECT_EQ(tidy.failure().where.value, first_data);
    bytes seen;
    EXPECT_EQ(log.get(name_of(1), seen), status::damaged) << "as before: the damage was neither hidden nor spread";
    EXPECT_EQ(log.get(name_of(2), seen), status::ok);
}

TEST(OwnEngine, AfterAFailedSyncItOnlyReads) {
    auto                  memory = memory_of(256);
    ashlar::faulty_device device{memory};
    faulty                ground{device};
    value_log<faulty>     log{ground};
    ASSERT_EQ(log.format(), status::ok);
    scatter(log, 2, 3);
    const auto before = contents_of(log);
    device.fail(ashlar::transfer_kind::sync, 1, ashlar::fault_lasts::once);
    tidier<faulty> tidy{log};
    auto           how = tidiness::more_to_do;
    while (how == tidiness::more_to_do) how = tidy.step(64);
    EXPECT_EQ(how, tidiness::failing);
    EXPECT_EQ(log.append(name_of(1), content(1, 1, 0, 10)), status::read_only);
    EXPECT_EQ(contents_of(log), before);
    value_log<faulty> again{ground};
    ASSERT_EQ(again.open(), status::ok);
    EXPECT_EQ(contents_of(again), before);
}

TEST(OwnEngine, AnIndexWithoutRoomSaysSoAndErasingHelps) {
    auto             memory = memory_of(128);  // halves of four blocks
    plain            device{memory};
    value_log<plain> log{device};
    ASSERT_EQ(log.format(), status::ok);
    for (std::uint64_t key = 0; key < 60; ++key)
        ASSERT_EQ(log.put(std::string(300, 'k') + name_of(key), content(key, 1, 0, 20)), status::ok);
    EXPECT_EQ(log.sync(), status::full);
    for (std::uint64_t key = 10; key < 60; ++key)
        ASSERT_EQ(log.erase(std::string(300, 'k') + name_of(key)), status::ok);
    EXPECT_EQ(log.sync(), status::ok);
    value_log<plain> again{device};
    ASSERT_EQ(again.open(), status::ok);
    EXPECT_EQ(again.list().size(), 10U);
}

TEST(OwnEngine, ARecordOfRandomBytesIsRefusedOrApplied) {
    dice rolls{3};
    for (int i = 0; i < 20'000; ++i) {
        bytes record;
        while (rolls.roll(12) != 0)
            put_word(record, rolls.roll(3) == 0 ? rolls.roll(~0U) << rolls.roll(33) : rolls.roll(9));
        record.resize(record.size() - std::min<std::size_t>(record.size(), rolls.roll(4)));
        value_map     values;
        std::uint64_t next_id = 0;
        if (!apply_record(record, values, next_id)) continue;
        for (const auto& [id, v] : values) EXPECT_LE(v.key.size() + v.pieces.size() * sizeof(run), record.size());
    }
}

}  // namespace own_engine_test
