#pragma once
/// Ctrl-C as a question that loops ask, so that every command stops where the volume is consistent.

namespace cli {

/// SIGINT and SIGTERM set a flag; a second one ends the process at once, which the volume survives as it does a crash.
void watch_for_interrupt();

[[nodiscard]] bool interrupted();

}  // namespace cli
