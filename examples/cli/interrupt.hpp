#pragma once
/// Ctrl-C as a question that loops ask, so that every command stops where the volume is consistent.

namespace cli {

/// SIGINT and SIGTERM set a flag; a second one ends the process at once, which the volume survives as it does a crash.
void watch_for_interrupt();

[[nodiscard]] bool interrupted();

/// From here on the first signal ends the process, with exit code 130: for work that only reads and asks no one.
void end_at_interrupt();

}  // namespace cli
