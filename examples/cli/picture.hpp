#pragma once
/// Letters in a frame.

#include <string>
#include <string_view>

namespace cli {

/// Letters in lines of `columns`, framed, with a legend below; coloured where stdout takes colours.
[[nodiscard]] std::string framed(std::string_view letters, std::size_t columns, std::string_view legend);

}  // namespace cli
