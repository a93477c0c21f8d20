#pragma once
/// The size of an open volume: planned, grown, shrunk.

#include "obstacles.hpp"
#include "volume.hpp"

namespace cli {

struct growth_facts {
    std::uint64_t before = 0;  ///< Blocks of the volume,
    std::uint64_t after  = 0;
    std::uint64_t tables = 0;  ///< and those of the new ones that describe them.
    std::uint64_t device = 0;  ///< Blocks of the file or disk.
};

/// What a shrink would meet.
struct shrink_facts {
    std::uint64_t before   = 0;
    std::uint64_t after    = 0;
    std::uint64_t smallest = 0;  ///< No smaller size is possible now.
    std::uint64_t in_use   = 0;  ///< Blocks behind the new end that move.
    std::uint64_t tables   = 0;  ///< Blocks of tables that go with the end.
    std::uint64_t device   = 0;
};

/// Of a shrink, also of one that was stopped.
struct shrunk_facts {
    std::uint64_t               after          = 0;
    std::uint64_t               moved          = 0;
    std::uint64_t               given_back     = 0;  ///< Blocks that the file has less.
    std::uint64_t               obstacle_count = 0;
    std::vector<obstacle_facts> obstacles{};  ///< What stayed in the way: those that are named.
    std::optional<failure>      why{};        ///< Why the volume, or its file, has its old size.
};

/// Precondition: the volume outlives it and stays open.
class volume_size {
  public:
    explicit volume_size(volume& of);
    ~volume_size();
    volume_size(const volume_size&)            = delete;
    volume_size& operator=(const volume_size&) = delete;

    /// What growing to so many blocks does; 0: to what the file or disk has. A file may become longer first: its space
    /// is reserved, unless it has holes already. Errors: where it cannot be; then the file is as it was.
    [[nodiscard]] result<growth_facts> plan_growth(std::uint64_t blocks);
    [[nodiscard]] result<growth_facts> grow(std::uint64_t blocks);

    /// Errors: where it cannot be, with the smallest size that can.
    [[nodiscard]] result<shrink_facts> plan_shrink(std::uint64_t blocks);
    [[nodiscard]] result<>             begin_shrink(std::uint64_t blocks, std::uint64_t bytes_per_second);
    [[nodiscard]] bool                 shrinks() const;
    [[nodiscard]] ashlar::progress     step(std::uint64_t bytes_max);
    /// Undoes the move that is under way; what moved stays moved.
    [[nodiscard]] ashlar::progress cancel();
    [[nodiscard]] shrunk_facts     shrunk() const;

  private:
    struct core;
    std::unique_ptr<core> core_;
};

}  // namespace cli
