#pragma once
/// The index on disk: two halves used in turns, each a log of checksummed records. This is how the engine survives a
/// power cut; the defragmenter neither knows nor cares.

#include "block_file.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <utility>
#include <vector>

namespace own_engine {

using bytes = std::vector<std::byte>;

/// Notices every torn or flipped word; it is no defence against malice. The size is a multiple of eight.
[[nodiscard]] inline std::uint64_t sum_of(std::span<const std::byte> from, std::uint64_t sum) noexcept {
    for (std::size_t i = 0; i + sizeof sum <= from.size(); i += sizeof sum) {
        std::uint64_t word = 0;
        std::memcpy(&word, from.data() + i, sizeof word);
        sum = std::rotl((sum ^ word) * 0x9E3779B97F4A7C15U, 29);
    }
    return sum;
}

/// Stands before each record, in the machine's own byte order; the payload follows, zeros fill its last block.
struct record_header {
    std::uint64_t magic      = 0x31474F4C4E574FU;  // "OWNLOG1"
    std::uint64_t generation = 0;                  // of the half
    std::uint64_t number     = 0;                  // in the half
    std::uint64_t length     = 0;                  // of the payload
    std::uint64_t sum        = 0;                  // of all blocks, with zero in its own place
};
static_assert(sizeof(record_header) == 40);

/// A half begins with record 0, which says everything; each further record says what one sync changed. A record begins
/// on a fresh block, so writing it touches no older one. When a half is full, everything is written to the other half
/// under the next generation, and until that is durable the full one still counts.
template <class Device>
class index_log {
  public:
    explicit index_log(Device& device) noexcept
        : device_{&device}, half_blocks_{std::max<std::uint64_t>(device.blocks() / 32, 4)} {}

    [[nodiscard]] std::uint64_t blocks() const noexcept { return 2 * half_blocks_; }

    /// Everything anew, durable on return.
    [[nodiscard]] bool format(std::span<const std::byte> everything) {
        const bytes nothing(block_bytes);
        generation_ = 0;
        half_       = 1;
        return device_->write(0, nothing) && device_->write(half_blocks_, nothing) && device_->sync() &&
               begin_half(everything) && device_->sync();
    }

    /// The payloads of the newer half, oldest first. A record that is not whole ends the log: it was never
    /// acknowledged.
    status load(std::vector<bytes>& payloads) {
        std::uint64_t newest = 0;
        for (std::uint64_t half = 0; half < 2; ++half) {
            record_header header{};
            bytes         payload;
            if (const auto read = read_record(half * half_blocks_, header, payload); read == status::device_failed)
                return read;
            else if (read != status::ok || header.number != 0 || header.generation <= newest)
                continue;
            half_  = half;
            newest = header.generation;
        }
        if (newest == 0) return status::not_found;
        generation_ = newest;
        for (next_ = number_ = 0; next_ < half_blocks_;) {
            record_header header{};
            bytes         payload;
            if (const auto read = read_record(half_ * half_blocks_ + next_, header, payload); read != status::ok)
                return read == status::device_failed ? read : status::ok;
            if (header.generation != generation_ || header.number != number_) return status::ok;
            next_ += blocks_of(header.length);
            ++number_;
            payloads.push_back(std::move(payload));
        }
        return status::ok;
    }

    [[nodiscard]] bool fits(std::size_t length) const noexcept { return blocks_of(length) <= half_blocks_ - next_; }
    [[nodiscard]] bool fits_half(std::size_t length) const noexcept { return blocks_of(length) <= half_blocks_; }

    /// Written, and durable at the device's next sync. Precondition of both: it fits.
    [[nodiscard]] bool append(std::span<const std::byte> changes) {
        if (!write_record(half_ * half_blocks_ + next_, changes)) return false;
        next_ += blocks_of(changes.size());
        return true;
    }
    [[nodiscard]] bool begin_half(std::span<const std::byte> everything) {
        half_   = 1 - half_;
        number_ = next_ = 0;
        ++generation_;
        return append(everything);
    }

  private:
    [[nodiscard]] static std::uint64_t blocks_of(std::uint64_t length) noexcept {
        return (sizeof(record_header) + length + block_bytes - 1) / block_bytes;
    }

    bool write_record(std::uint64_t first, std::span<const std::byte> payload) {
        record_header header{.generation = generation_, .number = number_, .length = payload.size()};
        bytes         image(sizeof header);
        std::memcpy(image.data(), &header, sizeof header);
        image.insert(image.end(), payload.begin(), payload.end());
        image.resize(blocks_of(payload.size()) * block_bytes);
        header.sum = sum_of(image, first);
        std::memcpy(image.data(), &header, sizeof header);
        ++number_;
        return device_->write(first, image);
    }

    status read_record(std::uint64_t first, record_header& header, bytes& payload) {
        const auto left = half_blocks_ - first % half_blocks_;
        bytes      image(block_bytes);
        if (!device_->read(first, image)) return status::device_failed;
        std::memcpy(&header, image.data(), sizeof header);
        if (header.magic != record_header{}.magic) return status::damaged;
        if (header.length > left * block_bytes || blocks_of(header.length) > left) return status::damaged;
        image.resize(blocks_of(header.length) * block_bytes);
        if (!device_->read(first, image)) return status::device_failed;
        auto unsummed = header;
        unsummed.sum  = 0;
        std::memcpy(image.data(), &unsummed, sizeof unsummed);
        if (sum_of(image, first) != header.sum) return status::damaged;
        const auto begin = image.begin() + sizeof header;
        payload.assign(begin, begin + static_cast<std::ptrdiff_t>(header.length));
        return status::ok;
    }

    Device*       device_;
    std::uint64_t half_blocks_;
    std::uint64_t half_       = 0;
    std::uint64_t generation_ = 0;
    std::uint64_t number_     = 0;  ///< Of the next record.
    std::uint64_t next_       = 0;  ///< Its block in the half.
};

}  // namespace own_engine
