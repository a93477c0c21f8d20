#pragma once
/// What the commands share that work on a volume in steps.

#include "volume.hpp"

#include <string>

namespace cli {

/// Why a step returned, in words.
[[nodiscard]] std::string reasons_text(ashlar::stop_reasons reasons);

/// Waits until the throttle may grant again, a tenth of a second at most; Ctrl-C ends the wait.
void wait_for_grant(const volume& on, ashlar::time_point not_before);

}  // namespace cli
