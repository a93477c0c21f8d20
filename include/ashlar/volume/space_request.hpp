#pragma once
/// What is asked of a volume's space.

#include <ashlar/allocator/group_arithmetic.hpp>

namespace ashlar::inline v0 {

/// Who asks for blocks; decides which reserve it may use.
enum class space_use : std::uint8_t { data, relocation, metadata };

struct space_request {
    block_count blocks{1};
    block_count least{1};  ///< A shorter run is of no use. Equal to `blocks`: one run or nothing.
    block_index goal{};    ///< As near behind it as possible; the volume's beginning asks for a good fit instead.
    space_use   use     = space_use::data;
    bool        is_data = false;  ///< Later data without a better goal goes on behind it; nodes are none.
};

/// What is asked of one group of it, of `least` blocks or more.
[[nodiscard]] constexpr group_request request_in_group(const space_request& request, std::uint64_t group,
                                                       block_count least, block_size size) noexcept {
    const auto goal = place_of(request.goal, size);
    const bool near = request.goal.value != 0 && goal.group == group;
    return {.count     = static_cast<std::uint32_t>(request.blocks.value),
            .count_min = static_cast<std::uint32_t>(least.value),
            .goal      = near ? goal.offset : 0,
            .near_goal = near};
}

}  // namespace ashlar::inline v0
