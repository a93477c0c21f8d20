#pragma once
/// What the commands share that work on a volume in steps.

#include "interrupt.hpp"
#include "output.hpp"
#include "progress_bar.hpp"
#include "volume.hpp"

#include <algorithm>
#include <string>

namespace cli {

/// Why a step returned, in words.
[[nodiscard]] std::string reasons_text(ashlar::stop_reasons reasons);

/// Waits until the throttle may grant again, a tenth of a second at most; Ctrl-C ends the wait.
void wait_for_grant(const volume& on, ashlar::time_point not_before);

/// Steps of a task that moves blocks, until one is the last, or Ctrl-C cancels it. Answers what the last one said.
/// `is_last(said, bar)` may warn, for which it clears the bar. `planned` blocks are the whole of the bar.
template <class Task, class IsLast>
ashlar::progress run_steps(const volume& on, Task& task, const char* title, const output& out, std::uint64_t planned,
                           IsLast is_last) {
    constexpr std::uint64_t step_bytes  = 256 * 1024;  // so that Ctrl-C is heard soon
    const std::uint64_t     block_bytes = on.facts().block_bytes;
    progress_bar            bar{title, out.quiet};
    for (;;) {
        const auto now = task.step(step_bytes);
        if (is_last(now, bar)) return now;
        if (interrupted()) {
            bar.clear();
            return task.cancel();
        }
        const bool throttled = now.reasons.has(ashlar::stop_reason::throttled);
        bar.show_bytes(now.moved.value * block_bytes, std::max(planned, now.moved.value) * block_bytes,
                       throttled ? "throttled to keep the rate" : "");
        if (throttled) wait_for_grant(on, now.not_before);
    }
}

}  // namespace cli
