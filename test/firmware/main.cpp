// A sensor log on a small controller: a store on a flash chip of 512-byte blocks, all of its memory lent.

#include "flash.hpp"

#include <ashlar/allocator/bitmap_allocator.hpp>
#include <ashlar/ashlar.hpp>

#include <array>

namespace {

/// One hash for data and metadata, no tree, no index of free runs, no defragmentation: what is not named costs no code.
struct sensor_log : ashlar::blueprint {
    using device     = board::flash_device;
    using journal    = ashlar::ring_journal;
    using threading  = ashlar::single_threaded;
    using allocator  = ashlar::bitmap_allocator;
    using checksum   = ashlar::xxh64_checksum;
    using object_map = ashlar::inline_map;
};
using log_store = ashlar::store<sensor_log>;

constexpr ashlar::block_size block{board::sector_bytes};

constexpr log_store::options small_options() noexcept {
    log_store::options chosen;
    chosen.limits.cache_blocks            = 24;
    chosen.limits.transaction.shadows     = 12;
    chosen.limits.transaction.extents     = 8;
    chosen.limits.transaction.data_blocks = 8;
    chosen.limits.transaction.objects     = 1;
    chosen.limits.transactions            = 2;
    chosen.limits.staged_bytes            = 0;  // every write goes to the device at once
    chosen.limits.edge_buffers            = 4;
    chosen.limits.space.groups_loaded     = 2;
    chosen.limits.space.retired           = 32;
    chosen.limits.space.holds             = 1;
    chosen.limits.unsynced_runs           = 16;
    chosen.limits.unsynced_blocks         = 32;
    chosen.limits.staging_bytes           = 5120;
    chosen.limits.journal_bytes           = 5120;
    chosen.limits.verify_groups           = 1;
    chosen.limits.indirection_entries_max = 0;
    return chosen;
}

alignas(8) std::array<std::byte, log_store::workspace_bytes(block, small_options())> workspace;

/// Keeps a sample, and makes an empty volume of a chip that holds none.
ashlar::result<> keep(std::span<const std::byte> sample) noexcept {
    board::flash_device chip;
    auto                opened = log_store::open(chip, small_options(), workspace);
    if (opened.has_error() && opened.error().code == ashlar::errc::not_a_volume) {
        BOOST_OUTCOME_TRY(log_store::format(chip, {.volume = {std::byte{1}}}, workspace));
        opened = log_store::open(chip, small_options(), workspace);
    }
    BOOST_OUTCOME_TRY(auto log, std::move(opened));
    BOOST_OUTCOME_TRY(log.append(log.root(), sample));
    BOOST_OUTCOME_TRY(log.sync());
    std::array<std::byte, 16> back{};
    BOOST_OUTCOME_TRY(log.read(log.root(), 0, back));
    return log.close();
}

}  // namespace

int main() {
    const std::array<std::byte, 16> sample{};
    return keep(sample) ? 0 : 1;
}
