// The message names the function that is missing.
// expect: JournalFitsDevice
// expect: seal
#include "parts.hpp"

struct journal_without_seal : ashlar::ring_journal {
    ashlar::result<ashlar::sequence> seal(ashlar::memory_device&) = delete;
};
struct log_store : whole {
    using journal = journal_without_seal;
};
ashlar::store<log_store> store;
