#pragma once
/// What every model of BlockDevice must do, as a check that any test framework can run.

#include <ashlar/concepts/block_device.hpp>
#include <ashlar/testing/random_bits.hpp>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

namespace ashlar::inline v0 {

/// What did not hold, one sentence each; empty when the device conforms.
using conformance_failures = std::vector<std::string>;

/// Checks one device. It uses the first blocks of the device, 8 at least, and destroys what they hold.
template <BlockDevice D>
class device_check {
  public:
    explicit device_check(D& device) : device_{device}, shape_{device.geometry()} {}

    conformance_failures run() {
        check_geometry();
        if (!failures_.empty()) return failures_;  // the others count on it
        check_any_alignment();
        check_bounds();
        check_neighbours();
        check_long_transfer();
        check_trim();
        check_sync();
        return failures_;
    }

  private:
    static constexpr std::uint64_t blocks_min = 8;

    std::vector<std::byte> made(std::uint64_t blocks, std::uint64_t seed) const {
        std::vector<std::byte> bytes(static_cast<std::size_t>(bytes_of({blocks}, shape_.size)));
        random_bits{seed}.fill(bytes);
        return bytes;
    }
    void expect(bool held, std::string what) {
        if (!held) failures_.push_back(std::move(what));
    }
    void expect_written(extent e, std::span<const std::byte> bytes, const char* what) {
        expect(device_.write(e, bytes).has_value(), std::string{what} + ": the write failed");
    }
    void expect_holds(extent e, std::span<const std::byte> bytes, const char* what) {
        std::vector<std::byte> seen(bytes.size());
        expect(device_.read(e, seen).has_value(), std::string{what} + ": the read failed");
        expect(std::equal(seen.begin(), seen.end(), bytes.begin()),
               std::string{what} + ": other bytes were read than were written");
    }

    void check_geometry() {
        expect(is_block_size(shape_.size.bytes), "geometry: the block size is no power of two from 512 to 65536");
        expect(shape_.blocks.value >= blocks_min, "geometry: the check needs 8 blocks");
        expect(shape_.memory_alignment > 0 && (shape_.memory_alignment & (shape_.memory_alignment - 1)) == 0,
               "geometry: the alignment of memory is no power of two");
        expect(shape_.trim_granularity.value > 0, "geometry: the granularity of trims is zero");
        expect(device_.geometry().blocks == shape_.blocks, "geometry: two calls gave different answers");
    }

    void check_any_alignment() {
        const auto wanted = made(2, 1);
        for (const std::size_t shift : {0U, 1U, 4U, 8U, 512U}) {
            std::vector<std::byte> space(wanted.size() + 1024);
            const auto             memory = std::span{space}.subspan(shift, wanted.size());
            std::copy(wanted.begin(), wanted.end(), memory.begin());
            expect_written({{1}, {2}}, memory, "memory of any alignment");
            std::fill(space.begin(), space.end(), std::byte{0x5A});
            expect(device_.read({{1}, {2}}, memory).has_value(), "memory of any alignment: the read failed");
            expect(std::equal(wanted.begin(), wanted.end(), memory.begin()),
                   "memory of any alignment: other bytes were read than were written");
            const bool outside = std::all_of(space.begin() + static_cast<std::ptrdiff_t>(shift + wanted.size()),
                                             space.end(), [](std::byte b) { return b == std::byte{0x5A}; });
            expect(outside, "memory of any alignment: the read wrote behind the memory");
        }
    }

    void refused(extent e, std::span<std::byte> bytes, const char* what) {
        const auto read  = device_.read(e, bytes);
        const auto write = device_.write(e, bytes);
        expect(!read && read.error() == error{errc::out_of_range, e.first},
               std::string{what} + ": read did not say out_of_range at its first block");
        expect(!write && write.error() == error{errc::out_of_range, e.first},
               std::string{what} + ": write did not say out_of_range at its first block");
    }

    void check_bounds() {
        auto       two  = made(2, 2);
        const auto last = shape_.blocks - block_count{1};
        const auto kept = made(1, 3);
        expect_written({block_index{0} + last, {1}}, kept, "the last block");
        refused({block_index{0} + last, {2}}, two, "an extent half outside");
        refused({block_index{0} + shape_.blocks, {2}}, two, "an extent outside");
        refused({{~std::uint64_t{0}}, {2}}, two, "an extent whose end overflows");
        expect(!device_.trim({block_index{0} + last, {2}}), "a trim half outside succeeded");
        expect(!device_.trim({{~std::uint64_t{0}}, {2}}), "a trim whose end overflows succeeded");
        expect_holds({block_index{0} + last, {1}}, kept, "a refused write moves nothing");
    }

    void check_neighbours() {
        const auto around = made(8, 4);
        const auto inside = made(2, 5);
        expect_written({{0}, {8}}, around, "eight blocks at once");
        expect_written({{3}, {2}}, inside, "two blocks inside");
        const auto size = std::size_t{shape_.size.bytes};
        expect_holds({{0}, {3}}, std::span{around}.first(3 * size), "the blocks before a write");
        expect_holds({{3}, {2}}, inside, "the blocks of a write");
        expect_holds({{5}, {3}}, std::span{around}.subspan(5 * size), "the blocks behind a write");
    }

    /// Whole or not at all, also where a transfer is longer than any buffer of the device.
    void check_long_transfer() {
        const auto blocks =
            std::min<std::uint64_t>(shape_.blocks.value, (std::uint64_t{1} << 20U) >> shape_.size.shift());
        const auto wanted = made(blocks, 6);
        expect_written({{0}, {blocks}}, wanted, "a long write");
        expect_holds({{0}, {blocks}}, wanted, "a long read");
        std::vector<std::byte> shifted(wanted.size() + 1);
        const auto             memory = std::span{shifted}.subspan(1);
        expect(device_.read({{0}, {blocks}}, memory).has_value(), "a long read into odd memory failed");
        expect(std::equal(wanted.begin(), wanted.end(), memory.begin()),
               "a long read into odd memory gave other bytes");
    }

    void check_trim() {
        const auto wanted = made(8, 7);
        expect_written({{0}, {8}}, wanted, "before a trim");
        expect(device_.trim({{2}, {4}}).has_value(), "a trim failed");
        expect(device_.trim({{2}, {0}}).has_value(), "an empty trim failed");
        const auto size = std::size_t{shape_.size.bytes};
        expect_holds({{0}, {2}}, std::span{wanted}.first(2 * size), "the blocks before a trim");
        expect_holds({{6}, {2}}, std::span{wanted}.subspan(6 * size), "the blocks behind a trim");
        std::vector<std::byte> any(4 * size);
        expect(device_.read({{2}, {4}}, any).has_value(), "reading trimmed blocks failed");
        expect_written({{2}, {4}}, std::span{wanted}.first(4 * size), "after a trim");
        expect_holds({{2}, {4}}, std::span{wanted}.first(4 * size), "trimmed blocks written again");
    }

    void check_sync() {
        const auto wanted = made(1, 8);
        expect(device_.sync().has_value(), "a sync failed");
        expect_written({{4}, {1}}, wanted, "before a sync");
        expect(device_.sync().has_value(), "a sync after a write failed");
        expect(device_.sync().has_value(), "a sync without a write before it failed");
        expect_holds({{4}, {1}}, wanted, "after a sync");
    }

    D&                   device_;
    device_geometry      shape_;
    conformance_failures failures_;
};

/// Runs all checks that need one open device. It loses what its first blocks and its last one hold.
template <BlockDevice D>
[[nodiscard]] conformance_failures device_conformance(D& device) {
    return device_check<D>{device}.run();
}

/// Checks that synced blocks are there after the device was closed and opened again. `open()` answers a result with the
/// device, the same medium each time, and no two at once.
template <class Open>
[[nodiscard]] conformance_failures device_persistence(Open open) {
    std::vector<std::byte> wanted;
    {
        auto device = open();
        if (!device) return {"the device did not open"};
        wanted.resize(static_cast<std::size_t>(bytes_of({3}, device.value().geometry().size)));
        random_bits{9}.fill(wanted);
        if (!device.value().write({{1}, {3}}, wanted)) return {"the write failed"};
        if (!device.value().sync()) return {"the sync failed"};
    }
    auto device = open();
    if (!device) return {"the device did not open again"};
    std::vector<std::byte> seen(wanted.size());
    if (!device.value().read({{1}, {3}}, seen)) return {"the read after opening again failed"};
    if (seen != wanted) return {"synced blocks were lost when the device was closed"};
    return {};
}

}  // namespace ashlar::inline v0
