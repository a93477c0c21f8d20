#pragma once
/// Every state that a power cut may leave, from the work itself or from a recording of it.

#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <vector>

namespace ashlar::inline v0 {

/// How many of the outcomes of one cut to look at. All of the first four kinds are always among them.
struct crash_effort {
    std::uint64_t random_max = 4;    ///< Random choices of whole writes, and as many of single sectors.
    std::uint64_t single_max = 64;   ///< Single operations dropped or kept; with more operations, the newest ones.
    std::uint64_t tears_max  = 128;  ///< Sectors at which the last operation is torn; with more sectors, evenly spread.
    std::uint64_t seed       = 1;
};

/// The outcomes of a cut while so many operations are unsynced, the last of them of so many sectors: none, all, each
/// one dropped, each one kept, the last torn at each sector from both sides, and random ones. Without unsynced work:
/// one.
[[nodiscard]] inline std::vector<crash_choice> crash_choices(std::uint64_t operations, std::uint64_t sectors_of_last,
                                                             crash_effort effort = {}) {
    std::vector<crash_choice> choices{{unsynced::none, 0, 0}};
    if (operations == 0) return choices;
    choices.push_back({unsynced::all, 0, 0});
    const auto step = sectors_of_last / (effort.tears_max + 1) + 1;
    for (std::uint64_t at = 1; at < sectors_of_last; at += step) {
        choices.push_back({unsynced::tear_last, at, 0});
        choices.push_back({unsynced::tear_last_tail, at, 0});
    }
    if (operations > 1) {  // with one operation these are none and all
        const auto first = operations > effort.single_max ? operations - effort.single_max : 0;
        for (std::uint64_t at = first; at < operations; ++at) {
            choices.push_back({unsynced::drop_one, at, 0});
            if (operations > 2) choices.push_back({unsynced::keep_one, at, 0});
        }
    }
    for (std::uint64_t i = 0; i < effort.random_max; ++i) {
        if (operations > 1) choices.push_back({unsynced::some_writes, 0, effort.seed + i});
        choices.push_back({unsynced::some_sectors, 0, effort.seed + i});
    }
    return choices;
}

/// The outcomes of a cut at this moment.
template <BlockDevice Inner>
[[nodiscard]] std::vector<crash_choice> crash_choices(const power_cut_device<Inner>& device, crash_effort effort = {}) {
    return crash_choices(device.operations_unsynced(), device.sectors_of_last(), effort);
}

/// Where in a recording a state belongs.
struct crash_point {
    std::size_t  calls = 0;  ///< Recorded calls before the cut.
    crash_choice choice{};
};

/// Plays a recording from `base` on and shows `visit(crash_point, image)` every state in which a cut right after each
/// write or effective trim may leave the device, and at last the end of the recording. A sync adds no state of its own:
/// what it makes durable is among the states of the writes before it. `visit` answers whether to go on.
/// Answers the number of states shown. Cost: one image copied for each; memory: five images.
template <class Visit>
std::uint64_t crash_states(const std::vector<recorded_call>& calls, std::span<const std::byte> base, block_size size,
                           crash_effort effort, Visit visit) {
    auto memory = memory_device::create(size, whole_blocks(base.size(), size));
    ASHLAR_ASSERT(memory.has_value());
    power_cut_device       device{memory.value()};
    std::vector<std::byte> image(device.durable().size());
    device.set_base(base.first(image.size()));
    std::uint64_t shown = 0;

    const auto show = [&](std::size_t count) {
        effort.seed += 1;  // other random choices at each point
        for (const auto choice : crash_choices(device, effort)) {
            device.crash_image(choice, image);
            ++shown;
            if (!visit(crash_point{count, choice}, std::span<std::byte>{image})) return false;
        }
        return true;
    };
    for (std::size_t i = 0; i < calls.size(); ++i) {
        if (calls[i].failure.code != errc::none) continue;
        const auto before = device.operations_unsynced();
        const auto done   = calls[i].kind == transfer_kind::write  ? device.write(calls[i].blocks, calls[i].data)
                            : calls[i].kind == transfer_kind::trim ? device.trim(calls[i].blocks)
                                                                   : device.sync();
        ASHLAR_ASSERT(done.has_value());
        if (device.operations_unsynced() > before && !show(i + 1)) return shown;
    }
    if (device.operations_unsynced() == 0) show(calls.size());
    return shown;
}

}  // namespace ashlar::inline v0
