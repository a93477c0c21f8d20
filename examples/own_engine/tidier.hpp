#pragma once
/// The defragmenter of the engine: options of its own around the host.

#include "movable_log.hpp"

namespace own_engine {

/// Everything that lies in two pieces or more. No rests, as steps are called when there is time for them.
[[nodiscard]] inline ashlar::defrag_options thorough() noexcept {
    ashlar::defrag_options options;
    options.threshold_permille = 1;
    options.extents_min        = 2;
    options.cycle_blocks_max   = {0};
    options.priority           = ashlar::defrag_intensity::unpaced;
    return options;
}

enum class tidiness : std::uint8_t {
    more_to_do,
    tidy,     ///< Nothing more to move, or no room to move it to. The next step looks again.
    failing,  ///< A block, or the index, cannot be read or written; see `failure`.
};

/// The defragmenter with its host and the memory that it is lent.
template <class Device>
class tidier {
  public:
    explicit tidier(value_log<Device>& log)
        : host_{log},
          memory_(worker::memory_bytes(thorough(), host_.block())),
          worker_{worker::create(thorough(), host_.block(), memory_, {.extents_min = 2}).value()} {}

    /// Copies at most so many blocks.
    tidiness step(std::uint64_t blocks_max) noexcept {
        const auto said = worker_.step(host_, {.blocks_max = blocks_max});
        if (said.reasons.has(ashlar::stop_reason::device_error)) {
            failure_ = said.failure;
            return tidiness::failing;
        }
        return said.reasons.has(ashlar::stop_reason::nothing_to_gain) ? tidiness::tidy : tidiness::more_to_do;
    }
    /// Ends the move under way, if there is one, and makes the others durable.
    [[nodiscard]] bool stop() noexcept { return worker_.recover(host_).has_value(); }

    [[nodiscard]] bool                           is_moving() const noexcept { return worker_.active(); }
    [[nodiscard]] ashlar::error                  failure() const noexcept { return failure_; }
    [[nodiscard]] const ashlar::defrag_lifetime& done() const noexcept { return worker_.lifetime(); }

  private:
    using worker = ashlar::defragmenter<movable_log<Device>, ashlar::threshold_policy>;

    movable_log<Device> host_;
    bytes               memory_;
    worker              worker_;
    ashlar::error       failure_{};
};

}  // namespace own_engine
