#pragma once
/// For whoever wants to kill the engine: it works until it is killed and says beforehand what it is about to do, so
/// that what is found afterwards can be compared.

#include "content.hpp"
#include "tidier.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

namespace own_engine {

inline constexpr std::uint64_t ordeal_blocks = 4096;
inline constexpr std::uint64_t ordeal_keys   = 24;
inline constexpr std::uint64_t ordeal_bytes  = 200'000;  ///< A value does not grow much beyond.

/// One line, in the file by the time it returns: a kill does not take it back.
inline void say(const char* word, std::uint64_t a = 0, std::uint64_t b = 0, std::uint64_t c = 0) noexcept {
    char       line[96];
    const auto n = std::snprintf(line, sizeof line, "%s %llu %llu %llu\n", word, static_cast<unsigned long long>(a),
                                 static_cast<unsigned long long>(b), static_cast<unsigned long long>(c));
    if (n > 0) static_cast<void>(!::write(STDOUT_FILENO, line, static_cast<std::size_t>(n)));
}

/// One random change, announced first. Values of few bytes end in a part of a block, so that appends rewrite it.
inline status change(value_log<block_file>& log, dice& rolls, std::uint64_t version) {
    const auto key    = rolls.roll(ordeal_keys);
    const auto name   = name_of(key);
    const auto choice = rolls.roll(16);
    bytes      seen;
    const bool there = log.get(name, seen) == status::ok;
    const auto old   = there ? version_of(key, seen) : std::nullopt;
    if (there && !old) return status::damaged;
    const auto more = 8 + rolls.roll(12'000);
    if (there && choice == 0) {
        say("erase", key);
        return log.erase(name);
    }
    if (there && choice > 1 && seen.size() < ordeal_bytes) {
        say("value", key, *old, seen.size() + more);
        return log.append(name, content(key, *old, seen.size(), more));
    }
    say("value", key, version, more);
    return log.put(name, content(key, version, 0, more));
}

/// Changes values and syncs on one thread, moves them on another, for ever. Returns only when something is wrong.
[[nodiscard]] inline int work(value_log<block_file>& log, std::uint64_t seed) {
    say("begun", seed);
    std::thread mover{[&log] {
        tidier<block_file> tidy{log};
        for (bool was_moving = false;;) {
            const auto how    = tidy.step(3);  // a move takes many steps, and may be killed between any two
            const bool moving = tidy.is_moving();
            if (moving != was_moving) say(moving ? "copying" : "copied", tidy.done().moves);
            was_moving = moving;
            if (how == tidiness::failing) say("failed", static_cast<std::uint64_t>(tidy.failure().code));
            if (how == tidiness::tidy) std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
    }};
    mover.detach();
    dice rolls{seed};
    for (std::uint64_t version = seed << 32U;; ++version) {
        if (const auto done = change(log, rolls, version); done == status::full)
            say("refused");
        else if (done != status::ok)
            return static_cast<int>(done);
        if (rolls.roll(6) != 0) continue;
        say("syncing");
        if (const auto synced = log.sync(); synced != status::ok) return static_cast<int>(synced);
        say("synced");
    }
}

/// Says each value that is there, every byte of it proved.
[[nodiscard]] inline int check(value_log<block_file>& log) {
    for (const auto& seen : log.list()) {
        const auto key = std::stoull(seen.key.substr(4));
        bytes      bytes_seen;
        if (const auto got = log.get(seen.key, bytes_seen); got != status::ok) return static_cast<int>(got);
        const auto version = version_of(key, bytes_seen);
        if (!version) return static_cast<int>(status::damaged);
        say("value", key, *version, bytes_seen.size());
        say("pieces", key, seen.pieces);
    }
    say("free", log.free_blocks());
    return 0;
}

}  // namespace own_engine
