// What a firmware takes from ashlar before it has a store: a journal on a flash chip and an allocator, in lent memory.

#include "flash.hpp"

#include <ashlar/allocator/grouped_allocator.hpp>
#include <ashlar/journal/ring_journal.hpp>

#include <array>

namespace {

constexpr ashlar::block_size block{board::sector_bytes};

alignas(8) std::array<std::byte, ashlar::ring_journal::staging_bytes(block)> staging;
std::array<ashlar::bitmap_word, 32> busy;

struct nothing_listed {
    ashlar::result<bool> matches(ashlar::block_index, std::uint64_t) noexcept { return false; }
    ashlar::result<>     repeat(ashlar::block_index) noexcept { return ashlar::success(); }
};

ashlar::result<> keep(std::span<const std::byte> sample) noexcept {
    board::flash_device  chip;
    ashlar::ring_journal journal;
    nothing_listed       listed;
    BOOST_OUTCOME_TRY(journal.attach({.ring = {{128}, {256}}, .anchor_first = {16}, .anchor_second = {48}}, block, staging));
    BOOST_OUTCOME_TRY(const auto report, journal.recover(chip, listed, false));
    if (report.batches_cut != 0) return ashlar::errc::damaged;

    const auto run = ashlar::grouped_allocator{}.find({busy, 1024}, {.count = 1});
    const auto home = ashlar::block_index{1024U + run.first};
    BOOST_OUTCOME_TRY(journal.begin(chip, {.entry_bytes = sample.size(), .entries = 1}));
    BOOST_OUTCOME_TRY(journal.entry(chip, home, 0, sample));
    BOOST_OUTCOME_TRY(const auto number, journal.seal(chip));
    BOOST_OUTCOME_TRY(chip.sync());
    journal.acknowledge(number);
    return journal.anchor(chip, number, {});
}

}  // namespace

int main() {
    const std::array<std::byte, 16> sample{};
    return keep(sample) ? 0 : 1;
}
