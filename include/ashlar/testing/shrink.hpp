#pragma once
/// Leaves out what a failure does not need.

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ashlar::inline v0 {

/// A part of `list`, in its order, for which `fails` still answers true; without any further one it answers false,
/// unless `runs_max` questions were not enough to find that out. Precondition: `fails(list)`, and the same list has
/// always the same answer.
/// Source: A. Zeller, R. Hildebrandt, "Simplifying and isolating failure-inducing input", IEEE Transactions on Software
/// Engineering 28(2), 2002.
template <class T, class Fails>
[[nodiscard]] std::vector<T> shrunk(std::vector<T> list, Fails&& fails, std::uint64_t runs_max) {
    std::uint64_t runs = 0;
    for (std::size_t part = list.size() < 2 ? list.size() : list.size() / 2; part != 0;) {
        bool left_out = false;
        for (std::size_t at = 0; at < list.size() && runs < runs_max;) {
            const auto     end = list.size() - at < part ? list.size() : at + part;
            std::vector<T> rest(list.begin(), list.begin() + static_cast<std::ptrdiff_t>(at));
            rest.insert(rest.end(), list.begin() + static_cast<std::ptrdiff_t>(end), list.end());
            ++runs;
            if (fails(rest)) {
                list     = std::move(rest);
                left_out = true;
            } else {
                at = end;
            }
        }
        if (runs >= runs_max) break;
        if (part > 1) {
            part = part / 2;
        } else if (!left_out) {
            break;
        }
    }
    return list;
}

}  // namespace ashlar::inline v0
