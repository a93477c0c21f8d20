#pragma once
/// The program's own errors: what happened, where, and what to do about it.

#include "exit_code.hpp"

#include <ashlar/vocabulary/result.hpp>

#include <string>

namespace cli {

/// Becomes one line on stderr: `ashlar: what: where: fix`.
struct failure {
    exit_code   code = exit_code::failed;
    std::string what;   ///< A sentence without a full stop.
    std::string where;  ///< The path, block or option that it is about.
    std::string fix;    ///< What the reader can do.
};

/// A `T`, or why there is none.
template <class T = void>
using result = ashlar::outcome::basic_result<T, failure, ashlar::outcome::policy::terminate>;

using ashlar::success;

/// What the system said: errno becomes the fitting exit code and advice.
[[nodiscard]] failure system_failure(std::string what, std::string where, int os_code);

/// What the library said about the volume at `where`.
[[nodiscard]] failure store_failure(std::string what, std::string where, ashlar::error error);

}  // namespace cli
