#pragma once
/// Every state that a power cut may leave, from the work itself or from a recording of it.

#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/testing/recording_device.hpp>

#include <string>
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

/// What a choice keeps, in words.
[[nodiscard]] inline std::string text_of(const crash_choice& choice) {
    const auto at = std::to_string(choice.at), seed = std::to_string(choice.seed);
    switch (choice.keep) {
        case unsynced::none: return "nothing of the unsynced";
        case unsynced::all: return "all of the unsynced";
        case unsynced::drop_one: return "all of the unsynced but operation " + at;
        case unsynced::keep_one: return "only operation " + at + " of the unsynced";
        case unsynced::tear_last: return "all of the unsynced, of the last the first " + at + " sectors";
        case unsynced::tear_last_tail: return "all of the unsynced, of the last the sectors from " + at + " on";
        case unsynced::some_writes: return "some of the unsynced, seed " + seed;
        case unsynced::some_sectors: return "some sectors of the unsynced, seed " + seed;
    }
    return {};
}

/// Where in a recording a state belongs.
struct crash_point {
    std::size_t  calls = 0;  ///< Recorded calls before the cut.
    crash_choice choice{};
};

/// Plays recordings and shows every state in which a cut may leave the device. Kept for many recordings of one shape,
/// it allocates nothing once its lists have grown. Memory: five images.
class crash_player {
  public:
    crash_player(block_size size, block_count blocks)
        : memory_{make(size, blocks)}, device_{memory_}, image_(memory_.bytes().size()) {}
    crash_player(const crash_player&)            = delete;
    crash_player& operator=(const crash_player&) = delete;

    /// Begins with `base` and shows `visit(crash_point, image)` every state that a cut right after each write or
    /// effective trim may leave, and at last the end of the recording. A sync adds no state of its own: what it makes
    /// durable is among the states of the writes before it. `visit` may write to the image; it answers whether to go
    /// on. Answers the number of states shown. Cost: one image copied for each.
    template <class Visit>
    std::uint64_t play(const std::vector<recorded_call>& calls, std::span<const std::byte> base, crash_effort effort,
                       Visit visit) {
        device_.set_base(base.first(image_.size()));
        std::uint64_t shown = 0;
        for (std::size_t i = 0; i < calls.size(); ++i) {
            if (calls[i].failure.code != errc::none) continue;
            const auto before = device_.operations_unsynced();
            repeat(calls[i]);
            if (device_.operations_unsynced() > before && !show(i + 1, effort, visit, shown)) return shown;
        }
        if (device_.operations_unsynced() == 0) show(calls.size(), effort, visit, shown);
        return shown;
    }

  private:
    static memory_device make(block_size size, block_count blocks) {
        auto made = memory_device::create(size, blocks);
        ASHLAR_ASSERT(made.has_value());
        return std::move(made).value();
    }

    void repeat(const recorded_call& call) {
        const auto done = call.kind == transfer_kind::write  ? device_.write(call.blocks, call.data)
                          : call.kind == transfer_kind::trim ? device_.trim(call.blocks)
                                                             : device_.sync();
        ASHLAR_ASSERT(done.has_value());
    }

    template <class Visit>
    bool show(std::size_t calls, crash_effort& effort, Visit& visit, std::uint64_t& shown) {
        effort.seed += 1;  // other random choices at each point
        for (const auto choice : crash_choices(device_, effort)) {
            device_.crash_image(choice, image_);
            ++shown;
            if (!visit(crash_point{calls, choice}, std::span<std::byte>{image_})) return false;
        }
        return true;
    }

    memory_device                   memory_;
    power_cut_device<memory_device> device_;
    std::vector<std::byte>          image_;
};

/// The same for one recording.
template <class Visit>
std::uint64_t crash_states(const std::vector<recorded_call>& calls, std::span<const std::byte> base, block_size size,
                           crash_effort effort, Visit visit) {
    return crash_player{size, whole_blocks(base.size(), size)}.play(calls, base, effort, visit);
}

}  // namespace ashlar::inline v0
