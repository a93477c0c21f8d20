#pragma once
/// Every state that a power cut may leave, from the work itself or from a recording of it.

#include <ashlar/device/memory_device.hpp>
#include <ashlar/testing/power_cut_device.hpp>
#include <ashlar/testing/recording_device.hpp>
#include <ashlar/testing/scratch_image.hpp>

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
    std::size_t   calls = 0;  ///< Recorded calls before the cut.
    crash_choice  choice{};
    std::uint64_t digest = 0;  ///< One number for the image's bytes.
};

/// Plays recordings and shows every state in which a cut may leave the device. Kept for many recordings of one shape,
/// it allocates nothing once its lists have grown. Memory: five images.
class crash_player {
  public:
    crash_player(block_size size, block_count blocks)
        : memory_{make(size, blocks)}, device_{memory_}, image_{size, blocks} {}
    crash_player(const crash_player&)            = delete;
    crash_player& operator=(const crash_player&) = delete;

    /// Begins with `base`, whose digest is `digest`, and shows `visit(const crash_point&, scratch_image&)` every state
    /// that a cut right after each write or effective trim may leave, and at last the end of the recording. A sync adds
    /// no state of its own: what it makes durable is among the states of the writes before it. `visit` may use the
    /// image as a device and write to it; it answers whether to go on. Answers the number of states shown. Cost: a copy
    /// of `base`; for each state a copy of what it changes.
    template <class Visit>
    std::uint64_t play(const std::vector<recorded_call>& calls, std::span<const std::byte> base, std::uint64_t digest,
                       crash_effort effort, Visit visit) {
        base = base.first(device_.durable().size());
        device_.set_base(base);
        std::memcpy(image_.all_bytes().data(), base.data(), base.size());
        image_.put_back(base);
        digest_             = digest;
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
        if (call.kind == transfer_kind::sync) {
            lay_over({.keep = unsynced::all});
            digest_ += image_.difference(device_.durable());
        }
        const auto done = call.kind == transfer_kind::write  ? device_.write(call.blocks, call.data)
                          : call.kind == transfer_kind::trim ? device_.trim(call.blocks)
                                                             : device_.sync();
        ASHLAR_ASSERT(done.has_value());
        if (call.kind == transfer_kind::sync) image_.put_back(device_.durable());
    }

    void lay_over(const crash_choice& choice) {
        device_.for_each_kept(choice, [&](std::size_t at, std::span<const std::byte> bytes) { image_.put(at, bytes); });
    }

    template <class Visit>
    bool show(std::size_t calls, crash_effort& effort, Visit& visit, std::uint64_t& shown) {
        effort.seed += 1;  // other random choices at each point
        for (const auto choice : crash_choices(device_, effort)) {
            lay_over(choice);
            ++shown;
            const crash_point at{calls, choice, digest_ + image_.difference(device_.durable())};
            const bool        goes_on = visit(at, image_);
            image_.put_back(device_.durable());
            if (!goes_on) return false;
        }
        return true;
    }

    memory_device                   memory_;
    power_cut_device<memory_device> device_;
    scratch_image                   image_;  // equal to what is durable, but while it is shown
    std::uint64_t                   digest_ = 0;
};

/// The same for one recording; `visit(crash_point, std::span<std::byte>)` sees bytes. Cost: one image copied for each.
template <class Visit>
std::uint64_t crash_states(const std::vector<recorded_call>& calls, std::span<const std::byte> base, block_size size,
                           crash_effort effort, Visit visit) {
    return crash_player{size, whole_blocks(base.size(), size)}.play(
        calls, base, 0, effort,
        [&](const crash_point& at, scratch_image& image) { return visit(at, image.all_bytes()); });
}

}  // namespace ashlar::inline v0
