#include "steps.hpp"

#include "interrupt.hpp"

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

namespace cli {

using ashlar::stop_reason;

std::string reasons_text(ashlar::stop_reasons reasons) {
    static constexpr std::pair<stop_reason, const char*> names[] = {
        {stop_reason::finished, "finished"},
        {stop_reason::throttled, "throttled"},
        {stop_reason::paused, "paused"},
        {stop_reason::cancelled, "cancelled"},
        {stop_reason::nothing_to_gain, "nothing to gain"},
        {stop_reason::no_contiguous_space, "no contiguous space"},
        {stop_reason::pinned, "pinned"},
        {stop_reason::raced, "raced"},
        {stop_reason::device_error, "device error"}};
    std::string text;
    for (const auto& [reason, name] : names) {
        if (reasons.has(reason)) text += (text.empty() ? "" : ", ") + std::string{name};
    }
    return text;
}

void wait_for_grant(const volume& on, ashlar::time_point not_before) {
    constexpr std::uint64_t piece = 20'000'000;  // nanoseconds; short, so that Ctrl-C is heard
    const auto              until = std::min(not_before, on.now() + ashlar::milliseconds(100));
    for (auto now = on.now(); now < until && !interrupted(); now = on.now())
        std::this_thread::sleep_for(std::chrono::nanoseconds{std::min(piece, (until - now).nanoseconds)});
}

}  // namespace cli
