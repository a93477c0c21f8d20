#pragma once
/// The list of scenarios that are cut: every operation and every task that a store has beside.

#include "crash_fixture.hpp"

#include <ashlar/testing/operation_sequences.hpp>

namespace ashlar::test {

/// One way of using a volume. The same seed gives the same work; another seed gives other work of the same kind.
struct crash_scenario {
    const char*   name;
    volume_shape  shape;
    volume_limits limits;
    void (*run)(crash_record& run, std::uint64_t seed);
};

/// Random operations; every `again_every` of them the store is closed and opened, or killed and opened.
struct again {
    std::uint64_t reopen_every = 0;
    std::uint64_t kill_every   = 0;
};
inline void run_randomly(crash_record& run, std::uint64_t seed, std::uint64_t operations, mixture mix = {},
                         again how = {}) {
    random_operations<crash_store> random{seed, mix};
    for (std::uint64_t i = 1; i <= operations && run.is_open(); ++i) {
        run.note(random.step(run.store(), run.model()));
        if (how.reopen_every != 0 && i % how.reopen_every == 0) run.reopen();
        if (how.kill_every != 0 && i % how.kill_every == 0) run.kill();
    }
}

/// Objects whose blocks alternate, so that each lies in many pieces.
inline std::vector<object_id> make_scattered(crash_record& run, std::size_t objects, std::uint64_t pieces,
                                             std::uint64_t seed) {
    std::vector<object_id> ids;
    for (std::size_t k = 0; k < objects; ++k) ids.push_back(run.create().made);
    const std::size_t block = run.store().info().block.bytes;
    for (std::uint64_t i = 0; i < pieces; ++i) {
        for (const auto id : ids) run.append(id, pattern(block, seed * 1000 + i * 10 + id.value));
    }
    return ids;
}

/// An object whose extents need many steps to free.
inline void scatter(crash_record& run, object_id id, std::uint64_t extents, std::uint64_t seed) {
    for (std::uint64_t i = 0; i < extents; ++i) run.write(id, i * 1024, pattern(300, seed * 1000 + i));
}

inline void erase_in_steps(crash_record& run, std::uint64_t seed) {
    const auto first = run.create().made, second = run.create().made;
    scatter(run, first, 260, seed + 1);
    scatter(run, second, 260, seed + 2);
    scatter(run, run.root(), 200, seed + 3);
    run.checkpoint();
    run.begin();
    run.truncate(run.root(), 5000);
    run.sync();
    run.transaction([&](auto& changes) { changes.erase(first); });
    for (int i = 0; i < 40; ++i) {
        run.must(run.model().unchanged("step of freeing", ashlar::reap(run.store().volume())));
        run.sync();
    }
    run.erase(second);
    run.sync();
    run.truncate(run.root(), 90'000);
    run.checkpoint();
    while (run.store().volume().space.totals().dying_head != 0 && run.maintain().succeeded()) run.sync();
}

inline void grow_the_table(crash_record& run, std::uint64_t seed) {
    const auto parts = run.store().volume().regions.object_parts().size();
    for (std::uint64_t i = 0; i < 120; ++i) {
        const auto id = run.create().made;
        if (i % 4 != 0) continue;
        run.write(id, 0, pattern(30, seed * 1000 + i));
        run.sync();
    }
    EXPECT_GT(run.store().volume().regions.object_parts().size(), parts + 2);
}

/// A defragmentation, with writes between its steps to what may be moving.
inline void move_extents(crash_record& run, std::uint64_t seed) {
    const auto ids = make_scattered(run, 6, 60, seed);
    run.erase(ids[2]);
    run.checkpoint();
    const auto before = run.store().info().extents;
    run.begin();
    for (std::uint64_t i = 0; i < 60; ++i) {
        run.maintain({.blocks_max = 48});
        if (i % 4 != 3) continue;
        run.write(ids[0], 64 * i, pattern(100, seed * 1000 + i));
        run.sync();
    }
    run.sync();
    EXPECT_LT(run.store().info().extents, before) << "something moved";
}

/// Moves under everything else that changes an object: it is truncated, punched, erased and pinned meanwhile.
inline void move_extents_that_change(crash_record& run, std::uint64_t seed) {
    const auto ids = make_scattered(run, 5, 24, seed);
    run.checkpoint();
    run.begin();
    random_bits random{seed};
    for (std::uint64_t i = 0; i < 60; ++i) {
        run.defragment({.blocks_max = 3});
        const auto id = ids[static_cast<std::size_t>(random.below(3))];
        switch (random.below(7)) {
            case 0: run.write(id, random.below(12'000), pattern(700, seed * 1000 + i)); break;
            case 1: run.punch(id, random.below(12'000), 1500); break;
            case 2: run.truncate(id, 6000 + random.below(7000)); break;
            case 3: run.append(id, pattern(900, seed * 1000 + i)); break;
            case 4: run.pin(id, 1024 * random.below(6), 1024); break;
            case 5: run.unpin(id, 0, 20'000); break;
            default: run.sync();
        }
        if (i == 20) run.erase(ids[3]);
        if (i == 40) run.kill();
    }
    run.sync();
}

/// Freed blocks are told to the device in steps, while others are freed and used again.
inline void trim_in_steps(crash_record& run, std::uint64_t seed) {
    const auto ids = make_scattered(run, 4, 20, seed);
    run.checkpoint();
    run.begin();
    for (std::uint64_t i = 0; i < 40; ++i) {
        run.trim(block_count{1 + i % 7 * 20});
        if (i == 4 || i == 18) run.erase(ids[i == 4 ? 1 : 2]);
        run.write(ids[0], i * 300 % 9000, pattern(600, seed * 1000 + i));
        if (i % 3 == 0) run.punch(ids[3], i * 250, 1100);
        if (i % 2 == 0) run.sync();
        if (i % 11 == 10) run.checkpoint();
        if (i == 25) run.reopen();
    }
    run.sync();
}

/// Reserved blocks are filled in place, pinned ones stay.
inline void reserve_and_pin(crash_record& run, std::uint64_t seed) {
    const auto id = run.create().made, other = run.create().made;
    run.sync();
    run.begin();
    random_bits random{seed};
    for (std::uint64_t i = 0; i < 120; ++i) {
        const auto at = random.below(16) * 512 + random.below(3) * 170;
        switch (random.below(8)) {
            case 0: run.reserve(id, at, 2500); break;
            case 1: run.pin(other, at, 1024); break;
            case 2: run.unpin(other, 0, 12'000); break;
            case 3: run.punch(id, at, 1500); break;
            case 4: run.truncate(id, at); break;
            case 5: run.write(other, at, pattern(800, seed * 1000 + i)); break;
            default: run.write(id, at, pattern(900, seed * 1000 + i));
        }
        if (i % 3 == 0) run.sync();
        if (i == 60) run.kill();
    }
    run.sync();
}

/// Writes of a size that a batch does not list: their data is synced before it.
inline void write_large(crash_record& run, std::uint64_t seed) {
    std::vector<object_id> ids;
    for (int k = 0; k < 3; ++k) ids.push_back(run.create().made);
    run.sync();
    run.begin();
    const auto most = static_cast<std::size_t>(run.store().write_bytes_max());
    for (std::uint64_t i = 0; i < 60; ++i) {
        run.write(ids[i % 3], i * 777 % 9000, pattern(most - i * 40, seed * 1000 + i));
        if (i % 4 == 1) run.append(ids[(i + 1) % 3], pattern(150, seed + i));
        if (i % 3 == 2) run.sync();
    }
    run.sync();
}

/// The whole list.
inline const std::vector<crash_scenario>& crash_scenarios() {
    static const volume_limits small = small_limits();
    static const volume_limits tight = [] {
        auto limits         = small_limits();
        limits.cache_blocks = 52;
        return limits;
    }();
    static const std::vector<crash_scenario> list{
        {"commit", {}, small, [](crash_record& run, std::uint64_t seed) { run_randomly(run, seed, 600); }},
        {"commit, blocks of 4096",
         {.block_bytes = 4096, .blocks = 600, .journal_blocks = 64},
         small,
         [](crash_record& run, std::uint64_t seed) {
             run_randomly(run, seed, 200, {.bytes_max = 20'000, .size_max = 90'000});
         }},
        {"checkpoint",
         {},
         small,
         [](crash_record& run, std::uint64_t seed) { run_randomly(run, seed, 160, {.sync = 10, .checkpoint = 14}); }},
        {"close and open",
         {},
         small,
         [](crash_record& run, std::uint64_t seed) { run_randomly(run, seed, 160, {}, {.reopen_every = 12}); }},
        {"kill and recover",
         {},
         small,
         [](crash_record& run, std::uint64_t seed) { run_randomly(run, seed, 160, {}, {.kill_every = 15}); }},
        {"transactions",
         {},
         small,
         [](crash_record& run, std::uint64_t seed) {
             run_randomly(run, seed, 140, {.transaction = 90, .abort = 20, .sync = 4});
         }},
        {"full volume",
         {.blocks = 430},
         small,
         [](crash_record& run, std::uint64_t seed) {
             run_randomly(run, seed, 260, {.append = 60, .size_max = 60'000});
         }},
        {"small cache", {}, tight, [](crash_record& run, std::uint64_t seed) { run_randomly(run, seed, 160); }},
        {"everything at once",
         {},
         small,
         [](crash_record& run, std::uint64_t seed) {
             run_randomly(run, seed, 240, {.checkpoint = 2, .maintain = 25, .trim = 15}, {.kill_every = 97});
         }},
        {"erase in steps", {.blocks = 2400, .journal_blocks = 128}, small, erase_in_steps},
        {"growing table", {}, small, grow_the_table},
        {"move", {.blocks = 1400}, small, move_extents},
        {"move what changes", {}, small, move_extents_that_change},
        {"trim", {}, small, trim_in_steps},
        {"reserve and pin", {}, small, reserve_and_pin},
        {"large writes", {}, small, write_large},
        {"several groups",
         {.blocks = 9000, .journal_blocks = 128},
         small,
         [](crash_record& run, std::uint64_t seed) {
             run_randomly(run, seed, 90, {.write = 60, .bytes_max = 20'000, .size_max = 400'000});
         }},
    };
    return list;
}

/// The volume of the sequences: so small that each of many thousand states is judged in a moment.
inline crash_setup<crash_store> sequence_setup() { return setup_of({.blocks = 480, .journal_blocks = 64}); }

/// Records one sequence and cuts it.
inline crash_report cut_sequence(const crash_setup<crash_store>& setup, crash_cutter<crash_store>& cutter,
                                 std::span<const operation_verb> sequence, bool syncs) {
    crash_record                 run{setup};
    sequence_runner<crash_store> runner{run};
    runner.prepare();
    runner.run(sequence, syncs);
    return cutter.cut(run.finish());
}

inline crash_recording record(const crash_scenario& one, std::uint64_t seed) {
    crash_record run{setup_of(one.shape, one.limits)};
    if (run.is_open()) one.run(run, seed);
    return run.finish();
}

/// Records one scenario and cuts it.
inline crash_report cut_scenario(const crash_scenario& one, std::uint64_t seed, const crash_plan& plan) {
    return crash_cutter<crash_store>{setup_of(one.shape, one.limits), plan}.cut(record(one, seed));
}

}  // namespace ashlar::test
