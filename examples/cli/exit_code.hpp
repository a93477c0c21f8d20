#pragma once
/// What the program answers to the shell. The numbers are documented and never change.

namespace cli {

enum class exit_code : int {
    ok          = 0,
    failed      = 1,    ///< Anything that has no number of its own; the message says what.
    usage       = 2,    ///< The command line is wrong; nothing was touched.
    not_found   = 3,    ///< The volume, the folder, the region or the block does not exist.
    corrupt     = 4,    ///< The volume is damaged, half written, or no volume of ashlar at all.
    busy        = 5,    ///< Another process holds the volume, or the device is mounted.
    no_space    = 6,    ///< The volume, the region, or the disk under it has no room.
    interrupted = 130,  ///< Ctrl-C; stopped at a consistent point.
};

}  // namespace cli
