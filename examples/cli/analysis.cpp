#include "analysis.hpp"

#include "output.hpp"
#include "picture.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace cli {
namespace {

void keep_worst(std::vector<object_facts>& worst, const object_facts& one) {
    constexpr std::size_t kept_max = 10;
    if (one.extents < 2) return;
    const auto place =
        std::find_if(worst.begin(), worst.end(), [&](const auto& other) { return other.extents < one.extents; });
    worst.insert(place, one);
    if (worst.size() > kept_max) worst.pop_back();
}

result<> add_extents(volume& on, const object_facts& object, std::uint64_t long_piece, volume_map& map) {
    for (ashlar::logical_block from{};;) {
        BOOST_OUTCOME_TRY(const auto piece, on.next_extent(object.id, from));
        if (!piece) return success();
        map.add(piece->physical, object.extents > 1 && piece->physical.count.value < long_piece);
        from = piece->logical + piece->physical.count;
    }
}

}  // namespace

result<analysis> analyze(volume& on, std::uint32_t extents_min, std::size_t cells,
                         const std::function<bool(std::uint64_t, std::uint64_t)>& tick) {
    const auto facts = on.facts();
    analysis   seen;
    seen.map = volume_map{facts.blocks, cells};
    for (ashlar::object_id last{};;) {
        BOOST_OUTCOME_TRY(const auto next, on.next_object(last));
        if (!next) return seen;
        last = *next;
        BOOST_OUTCOME_TRY(const auto object, on.object(last));
        ++seen.objects;
        if (object.extents > 0) {
            ++seen.with_data;
            seen.fragmented += object.extents >= extents_min ? 1U : 0U;
            seen.extents += object.extents;
            seen.blocks += object.blocks;
            ++seen.histogram[static_cast<std::size_t>(
                std::lower_bound(extent_classes.begin(), extent_classes.end(), object.extents) -
                extent_classes.begin())];
            keep_worst(seen.worst, object);
            if (cells > 0) {
                BOOST_OUTCOME_TRY(add_extents(
                    on, object, std::max<std::uint64_t>(1, long_piece_bytes / facts.block_bytes), seen.map));
            }
        }
        if (!tick(seen.objects, facts.objects))
            return failure{exit_code::interrupted, "interrupted", on.path(), "run the command again"};
    }
}

std::string drawn(const volume_map& map, std::size_t columns, std::uint32_t block_bytes) {
    return framed(
        map.letters(), columns,
        fmt::format(
            "one letter is {}: . no data  - = # whole data, a little to all  x X broken data, up to half and more",
            human_bytes(map.blocks_per_cell() * block_bytes)));
}

}  // namespace cli
