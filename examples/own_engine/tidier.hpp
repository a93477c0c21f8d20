#pragma once
/// The defragmenter of the engine: a policy, a throttle and options of its own, around the host.

#include "movable_log.hpp"

namespace own_engine {

/// Joins whatever lies in more pieces than it must; those that lose most pieces for a block copied go first.
struct fewest_pieces {
    static constexpr bool enabled = true;

    [[nodiscard]] bool worth_moving(const ashlar::defrag_candidate& c) const noexcept {
        return c.free_runs_merged > 0 ? c.extents <= 1 : c.extents > c.extents_ideal;
    }
    [[nodiscard]] std::uint64_t rank(const ashlar::defrag_candidate& c) const noexcept {
        const auto lost = c.free_runs_merged > 0 ? 1 : c.extents - c.extents_ideal;
        return c.blocks.value == 0 ? 0 : lost * 1'000'000 / c.blocks.value;
    }
};

/// Here the budget of each step says how fast it goes.
struct unthrottled {
    static constexpr bool needs_clock = false;

    [[nodiscard]] ashlar::io_grant acquire(ashlar::io_request r, ashlar::time_point) noexcept { return {r.want, {}}; }
    void                           release(std::uint64_t, ashlar::time_point) noexcept {}
    void observe(ashlar::io_kind, std::uint64_t, ashlar::duration, ashlar::time_point) noexcept {}
};

inline constexpr std::uint64_t reach_max = 1024;

/// Everything that lies in two pieces or more, in ranges of at most `reach` blocks; with 0 only whole pieces that keep
/// two free runs apart. No rests, as steps are called when there is time for them.
[[nodiscard]] inline ashlar::defrag_options thorough(std::uint64_t reach) noexcept {
    ashlar::defrag_options options;
    options.window              = {reach == 0 ? reach_max : reach};
    options.relocate_fragmented = reach > 0;
    options.threshold_permille  = 1;
    options.extents_min         = 2;
    options.cycle_blocks_max    = {0};
    options.priority            = ashlar::defrag_intensity::unpaced;
    return options;
}

enum class tidiness : std::uint8_t {
    more_to_do,
    tidy,     ///< Nothing more to move, or no room to move it to. The next step looks again.
    failing,  ///< A block, or the index, cannot be read or written; see `failure`.
};

/// The defragmenter with its host and the memory that it is lent.
///
/// A range moves into one free run. Where free space is crumbs none is long enough for a long range. So when a pass
/// found no room the next reaches less far, at last only for whole pieces between free runs; and when something moved,
/// long ranges have their turn again. This ends, as every move leaves fewer pieces, or as many pieces and fewer free
/// runs.
template <class Device>
class tidier {
  public:
    explicit tidier(value_log<Device>& log)
        : host_{log}, memory_(worker::memory_bytes(thorough(reach_max), host_.block())), worker_{make(reach_max)} {}

    /// Copies at most so many blocks.
    tidiness step(std::uint64_t blocks_max) noexcept {
        const auto moves = worker_.lifetime().moves;
        const auto said  = worker_.step(host_, {.blocks_max = blocks_max});
        moves_ += worker_.lifetime().moves - moves;
        if (said.reasons.has(ashlar::stop_reason::device_error)) {
            failure_ = said.failure;
            return tidiness::failing;
        }
        if (!said.reasons.has(ashlar::stop_reason::finished)) return tidiness::more_to_do;
        ++passes_;
        races_ += worker_.lifetime().races;
        blocks_ += worker_.lifetime().blocks_moved.value;
        const bool crowded = said.reasons.has(ashlar::stop_reason::no_contiguous_space);
        const bool moved   = !said.reasons.has(ashlar::stop_reason::nothing_to_gain);
        const bool narrow  = !moved && reach_ > 0 && (crowded || reach_ < reach_max);
        reach_             = !narrow ? reach_max : reach_ > 4 ? reach_ / 4 : 0;
        worker_            = make(reach_);
        return moved || narrow ? tidiness::more_to_do : tidiness::tidy;
    }
    /// Ends the move under way, if there is one, and makes the others durable.
    [[nodiscard]] bool stop() noexcept { return worker_.recover(host_).has_value(); }

    [[nodiscard]] bool          is_moving() const noexcept { return host_.targets() > 0; }
    [[nodiscard]] ashlar::error failure() const noexcept { return failure_; }
    [[nodiscard]] std::uint64_t moves() const noexcept { return moves_; }
    [[nodiscard]] std::uint64_t passes() const noexcept { return passes_; }
    [[nodiscard]] std::uint64_t blocks_moved() const noexcept { return blocks_; }  ///< In the passes so far.
    [[nodiscard]] std::uint64_t races() const noexcept { return races_; }  ///< Likewise: copies that a put undid.

  private:
    using worker = ashlar::defragmenter<movable_log<Device>, fewest_pieces, unthrottled, ashlar::no_clock>;

    worker make(std::uint64_t reach) noexcept {
        return worker::create(thorough(reach), host_.block(), memory_).value();
    }

    movable_log<Device> host_;
    bytes               memory_;
    worker              worker_;
    std::uint64_t       reach_  = reach_max;
    std::uint64_t       moves_  = 0;
    std::uint64_t       passes_ = 0;
    std::uint64_t       blocks_ = 0;
    std::uint64_t       races_  = 0;
    ashlar::error       failure_{};
};

}  // namespace own_engine
