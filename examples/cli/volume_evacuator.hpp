#pragma once
/// Empties a range of an open volume's blocks, in steps.

#include "obstacles.hpp"
#include "volume.hpp"

namespace cli {

struct evacuation_plan_facts {
    std::uint64_t               objects        = 0;  ///< Moves of their ranges.
    std::uint64_t               nodes          = 0;
    std::uint64_t               regions        = 0;
    std::uint64_t               tables         = 0;
    std::uint64_t               blocks         = 0;  ///< Read once and written once.
    std::uint64_t               fixed          = 0;  ///< Of the range; they cannot move.
    std::uint64_t               room           = 0;  ///< Free outside, for moves.
    std::uint64_t               memory         = 0;
    std::uint64_t               obstacle_count = 0;
    bool                        succeeds       = false;
    std::vector<obstacle_facts> obstacles{};  ///< Those that are named.
};

struct evacuation_facts {
    bool                        emptied        = false;
    std::uint64_t               objects        = 0;
    std::uint64_t               nodes          = 0;
    std::uint64_t               regions        = 0;
    std::uint64_t               tables         = 0;
    std::uint64_t               blocks         = 0;
    std::uint64_t               before         = 0;  ///< Blocks of the range in use.
    std::uint64_t               after          = 0;
    std::uint64_t               obstacle_count = 0;
    std::vector<obstacle_facts> obstacles{};  ///< Those that are named.
    std::optional<failure>      why{};        ///< The last error of the device or the store.
};

/// Precondition: the volume outlives it and stays open.
class volume_evacuator {
  public:
    /// Takes its memory. `bytes_per_second` 0: 50 MiB.
    [[nodiscard]] static result<volume_evacuator> open(volume& of, std::uint64_t bytes_per_second);
    volume_evacuator(volume_evacuator&&) noexcept;
    ~volume_evacuator();

    [[nodiscard]] result<evacuation_plan_facts> plan(ashlar::extent range);
    [[nodiscard]] result<>                      start(ashlar::extent range);
    /// One step that copies `bytes_max` bytes at most; it goes on while `running`.
    [[nodiscard]] ashlar::progress step(std::uint64_t bytes_max);
    [[nodiscard]] bool             running() const;
    /// Undoes the move that is under way, and ends the task.
    [[nodiscard]] ashlar::progress cancel();
    [[nodiscard]] evacuation_facts done() const;

  private:
    struct core;
    explicit volume_evacuator(std::unique_ptr<core> inner) noexcept;

    std::unique_ptr<core> core_;
};

}  // namespace cli
