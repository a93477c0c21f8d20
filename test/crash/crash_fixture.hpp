#pragma once
/// Histories of a store, and every state in which a power cut may leave them.

#include "../store/store_fixture.hpp"

#include <ashlar/testing/crash_states.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <algorithm>
#include <cstdio>

namespace ashlar::test {

using recorded_memory = recording_device<checked_memory>;

/// What happened on a device, and what a store held after each operation.
struct history {
    volume_shape               shape{};
    byte_vector                base;  ///< The device before the first call.
    std::vector<recorded_call> calls;
    std::vector<std::uint64_t> digests;  ///< [i]: of what the store held after i operations.
    std::vector<std::size_t>   ended;    ///< [i]: recorded calls when operation i had returned.
    std::vector<bool>          durable;  ///< [i]: that return promised everything up to here.
    std::vector<std::size_t>   begun;  ///< [i]: recorded calls when operation i began; empty: when i - 1 had returned.
    std::vector<const char*>   names;
    std::uint64_t              device_writes = 0;

    /// The operations whose state a cut after so many calls may show: all that was promised, nothing that had not
    /// begun.
    struct range {
        std::size_t first = 0;
        std::size_t last  = 0;
    };
    [[nodiscard]] range allowed(std::size_t after) const {
        range seen;
        for (std::size_t i = 0; i < ended.size(); ++i) {
            if (i != 0 && (begun.empty() ? ended[i - 1] : begun[i]) > after) break;
            seen.last = i;
            if (ended[i] <= after && durable[i]) seen.first = i;
        }
        return seen;
    }
    [[nodiscard]] bool allows(std::size_t after, std::uint64_t digest) const {
        const auto [first, last] = allowed(after);
        for (auto i = first; i <= last; ++i) {
            if (digests[i] == digest) return true;
        }
        return false;
    }
    void note(std::uint64_t digest, std::size_t calls_now, bool promised, const char* name) {
        digests.push_back(digest);
        ended.push_back(calls_now);
        durable.push_back(promised);
        names.push_back(name);
    }
    void finish(const recorded_memory& device) {
        calls = device.calls();
        for (const auto& call : calls) device_writes += call.kind == transfer_kind::write ? 1 : 0;
    }
};

/// A formatted volume whose calls are recorded from here on.
class recorded_volume {
  public:
    explicit recorded_volume(const volume_shape& shape)
        : memory_{make_memory(shape)}, checked_{memory_}, device_{checked_} {
        log_.shape = shape;
        format_on(device_, shape);
    }

    /// What happened until now becomes the base: only what follows is cut.
    void begin(std::uint64_t digest) {
        device_.forget();
        log_.base.assign(memory_.bytes().begin(), memory_.bytes().end());
        log_.note(digest, 0, true, "base");
    }
    test_store open(volume_limits limits = small_limits()) { return opened_on(device_, limits); }
    void       note(std::uint64_t digest, bool promised, const char* name) {
              log_.note(digest, device_.calls().size(), promised, name);
    }
    history finish() {
        log_.finish(device_);
        expect_order(checked_);
        EXPECT_GT(checked_.checks().batches, 0U);
        return std::move(log_);
    }
    recorded_memory& device() { return device_; }

  private:
    memory_device   memory_;
    checked_memory  checked_;
    recorded_memory device_;
    history         log_;
};

/// Runs a random scenario with the calls recorded; every `reopen` operations the store is closed and opened again.
inline history record_scenario(const volume_shape& shape, std::uint64_t seed, std::uint64_t operations,
                               mixture mix = {}, std::uint64_t reopen = 0) {
    recorded_volume      volume{shape};
    auto                 opened = volume.open();
    scenario<test_store> runs{seed, opened.root(), mix};
    volume.begin(digest_of(runs.state()));
    for (std::uint64_t i = 1; i <= operations; ++i) {
        const auto done = runs.step(opened);
        EXPECT_EQ(done.why.code, errc::none)
            << done.what << ": " << message(done.why.code) << " in operation " << i << " of seed " << seed;
        volume.note(digest_of(runs.state()), done.durable, done.what);
        if (reopen != 0 && i % reopen == 0) {
            ASHLAR_EXPECT_OK(opened.close());
            volume.note(digest_of(runs.state()), true, "close");
            opened = volume.open();
            volume.note(digest_of(runs.state()), true, "open");
        }
    }
    EXPECT_EQ(difference(opened, runs.state()), "");
    EXPECT_EQ(findings_of(opened), "");
    static_cast<void>(opened.abandon());
    return volume.finish();
}

inline std::string name_of(const crash_choice& choice) {
    static const char* const names[] = {"none",           "all",         "drop_one",    "keep_one", "tear_last",
                                        "tear_last_tail", "some_writes", "some_sectors"};
    return std::string{names[static_cast<std::size_t>(choice.keep)]} + " at " + std::to_string(choice.at) + " seed " +
           std::to_string(choice.seed);
}

/// Opens what a cut left, compares, verifies, goes on writing, verifies again. Empty when all is well.
/// Every 16th time the order of what is written is watched.
template <BlockDevice D>
std::string examine_on(D& device, const history& log, std::size_t after, std::uint64_t number) {
    auto opened = test_store::open(any_device{device}, with());
    if (!opened) return "open: " + said(opened);
    auto& live = opened.value();

    const auto found = digest_on(live);
    if (!found) return "read: " + said(found);
    if (!log.allows(after, found.value())) {
        std::string which = "an operation that it never was at";
        for (std::size_t i = 0; i < log.digests.size(); ++i) {
            if (log.digests[i] == found.value())
                which = "the state of operation " + std::to_string(i) + " (" + log.names[i] + ")";
        }
        const auto [first, last] = log.allowed(after);
        return "holds " + which + "; allowed are " + std::to_string(first) + " to " + std::to_string(last) + " (" +
               log.names[last] + ")";
    }
    if (auto problems = findings_of(live); !problems.empty()) return problems;

    const auto more = pattern(900, number);
    const auto made = live.create();
    if (!made) return "create afterwards: " + said(made);
    if (auto done = live.write(made.value(), 100, more); !done) return "write afterwards: " + said(done);
    if (auto done = live.append(live.root(), more); !done) return "append afterwards: " + said(done);
    if (auto done = live.sync(); !done) return "sync afterwards: " + said(done);
    if (auto problems = findings_of(live); !problems.empty()) return "afterwards: " + problems;

    if (number % 4 != 0) {
        static_cast<void>(live.abandon());
        return {};
    }
    const auto expected = digest_on(live);
    if (number % 8 == 0) {
        if (auto done = live.close(); !done) return "close afterwards: " + said(done);
    } else {
        static_cast<void>(live.abandon());
    }
    auto again = test_store::open(any_device{device}, with());
    if (!again) return "open again: " + said(again);
    const auto read = digest_on(again.value());
    if (!read || !expected || read.value() != expected.value()) return "the second open shows something else";
    auto problems = findings_of(again.value());
    static_cast<void>(again.value().abandon());
    return problems;
}

inline std::string examine(std::span<std::byte> image, const history& log, std::size_t after, std::uint64_t number) {
    auto lent = memory_device::lend(image, {log.shape.block_bytes});
    if (!lent) return "no device";
    if (number % 16 != 0) return examine_on(lent.value(), log, after, number);
    checked_memory checked{lent.value()};
    auto           problem = examine_on(checked, log, after, number);
    const auto     broken  = checked.violations();
    return problem.empty() && !broken.empty() ? broken.front() : problem;
}

/// Cuts a history after each of its writes, in every way; answers how many states were examined. Ends at the third
/// failure.
inline std::uint64_t cut_everywhere(const history& log, crash_effort effort) {
    int           failures = 0;
    std::uint64_t number   = 0;
    return crash_states(log.calls, log.base, {log.shape.block_bytes}, effort,
                        [&](const crash_point& at, std::span<std::byte> image) {
                            const auto problem = examine(image, log, at.calls, ++number);
                            if (problem.empty()) return true;
                            const auto range = log.allowed(at.calls);
                            ADD_FAILURE() << problem << "\n  cut after call " << at.calls << " of " << log.calls.size()
                                          << ", in operation " << range.last << " (" << log.names[range.last]
                                          << "), keeping " << name_of(at.choice);
                            return ++failures < 3;
                        });
}

/// Cuts the recovery of states of a history at each of its writes; the next recovery must come to a state that the
/// first cut allows. Every `stride`th state is taken. Answers how many states were examined.
inline std::uint64_t cut_recovery_everywhere(const history& log, crash_effort effort, std::uint64_t stride) {
    const block_size size{log.shape.block_bytes};
    auto             memory = make_memory(log.shape);
    power_cut_device device{memory};
    byte_vector      image(log.base.size());
    int              failures = 0;
    std::uint64_t    number = 0, states = 0;
    crash_states(log.calls, log.base, size, effort, [&](const crash_point& at, std::span<std::byte> first_image) {
        if (++number % stride != 0) return true;
        device.set_base(first_image);
        for (std::uint64_t write = 1;; ++write) {
            device.reset();
            device.cut_after(write);
            auto       opened = test_store::open(any_device{device}, with());
            const bool whole  = device.powered();
            if (opened) static_cast<void>(opened.value().abandon());
            for (const auto choice :
                 crash_choices(device, {.random_max = 1, .single_max = 2, .tears_max = 2, .seed = write})) {
                device.crash_image(choice, image);
                ++states;
                const auto problem = examine(image, log, at.calls, states);
                if (problem.empty()) continue;
                ADD_FAILURE() << problem << "\n  recovery cut after its write " << write << ", keeping "
                              << name_of(choice) << ", of the cut after call " << at.calls << " keeping "
                              << name_of(at.choice);
                if (++failures == 3) return false;
            }
            if (whole) return true;
        }
    });
    return states;
}

}  // namespace ashlar::test
