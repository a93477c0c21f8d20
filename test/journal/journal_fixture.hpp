#pragma once
/// A small volume around a journal: frames for the anchors, a ring, and some data blocks.

#include <ashlar/device/memory_device.hpp>
#include <ashlar/journal/ring_journal.hpp>

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace ashlar::test {

inline volume_id test_volume(unsigned char first = 7) {
    volume_id id{};
    for (std::size_t i = 0; i < id.size(); ++i) id[i] = static_cast<std::byte>(first + i * 11);
    return id;
}

struct journal_shape {
    std::uint32_t block_bytes = 512;
    std::uint64_t ring_blocks = 24;
    std::uint64_t data_blocks = 16;
    std::size_t   memory      = 0;  ///< 0: the least.

    [[nodiscard]] block_size    size() const { return {block_bytes}; }
    [[nodiscard]] std::uint32_t frame() const { return block_bytes < 4096 ? 4096 : block_bytes; }
    [[nodiscard]] std::uint64_t frame_blocks() const { return frame() / block_bytes; }
    [[nodiscard]] block_index   data_first() const { return {10 * frame_blocks() + ring_blocks}; }
    [[nodiscard]] block_count   blocks() const { return {data_first().value + data_blocks}; }
    [[nodiscard]] journal_place place() const {
        return {
            {{10 * frame_blocks()}, {ring_blocks}}, {2 * frame_blocks()}, {6 * frame_blocks()}, frame(), test_volume()};
    }
    [[nodiscard]] std::size_t staging() const { return memory != 0 ? memory : ring_journal::staging_bytes(size()); }
};

inline memory_device make_device(const journal_shape& shape) {
    return memory_device::create(shape.size(), shape.blocks()).value();
}

/// A journal with memory of its own.
struct attached_journal {
    std::vector<std::byte> memory;
    ring_journal           journal;

    explicit attached_journal(const journal_shape& shape) : memory(shape.staging()) {
        EXPECT_TRUE(journal.attach(shape.place(), shape.size(), memory));
    }
    ring_journal* operator->() { return &journal; }
};

using block_bytes = std::vector<std::byte>;

inline block_bytes pattern(std::size_t bytes, std::uint64_t seed) {
    block_bytes   made(bytes);
    std::uint64_t x = seed * 0x9E37'79B9'7F4A'7C15U + 1;
    for (auto& one : made) {
        x ^= x << 13U;
        x ^= x >> 7U;
        x ^= x << 17U;
        one = static_cast<std::byte>(x);
    }
    return made;
}

struct logged_entry {
    std::uint64_t sequence = 0;
    std::uint64_t target   = 0;
    std::uint32_t offset   = 0;
    block_bytes   bytes;
    bool          operator==(const logged_entry&) const = default;
};

/// Collects what replay hands out.
struct entry_log {
    std::vector<logged_entry> entries;
    result<>                  operator()(sequence s, block_index target, std::uint32_t offset,
                        std::span<const std::byte> bytes) noexcept {
                         entries.push_back({s.value, target.value, offset, {bytes.begin(), bytes.end()}});
                         return success();
    }
};

/// Data blocks on the journal's own device.
template <BlockDevice D>
struct data_on {
    D&            device;
    std::uint64_t asked    = 0;
    std::uint64_t repeated = 0;

    result<bool> matches(block_index block, std::uint64_t checksum) noexcept {
        ++asked;
        block_bytes bytes(device.geometry().size.bytes);
        BOOST_OUTCOME_TRY(device.read({block, {1}}, bytes));
        return xxh64(bytes, 0) == checksum;
    }
    result<> repeat(block_index block) noexcept {
        ++repeated;
        block_bytes bytes(device.geometry().size.bytes);
        BOOST_OUTCOME_TRY(device.read({block, {1}}, bytes));
        return device.write({block, {1}}, bytes);
    }
};

/// One batch as a test means it.
struct planned_batch {
    std::vector<logged_entry>                          entries;  ///< Their sequence is filled in by `write_batch`.
    std::vector<std::pair<std::uint64_t, block_bytes>> data;

    [[nodiscard]] batch_shape shape() const {
        batch_shape made;
        for (const auto& one : entries) made.entry_bytes += one.bytes.size();
        made.entries = static_cast<std::uint32_t>(entries.size());
        made.data    = static_cast<std::uint32_t>(data.size());
        return made;
    }
};

inline planned_batch small_batch(std::uint64_t seed, std::size_t bytes = 100) {
    return {
        {{0, 1000 + seed, bytes > 4000 ? 0U : 16U, pattern(bytes, seed)}, {0, 1000 + seed, 496, pattern(16, seed + 1)}},
        {}};
}

/// Data, then the batch; neither synced nor acknowledged.
template <BlockDevice D>
result<sequence> write_batch(D& device, ring_journal& journal, const planned_batch& batch) {
    for (const auto& [block, bytes] : batch.data) { BOOST_OUTCOME_TRY(device.write({{block}, {1}}, bytes)); }
    BOOST_OUTCOME_TRY(journal.begin(device, batch.shape()));
    for (const auto& [block, bytes] : batch.data) { BOOST_OUTCOME_TRY(journal.data(device, {block}, xxh64(bytes, 0))); }
    for (const auto& one : batch.entries) {
        BOOST_OUTCOME_TRY(journal.entry(device, {one.target}, one.offset, one.bytes));
    }
    return journal.seal(device);
}

template <BlockDevice D>
result<sequence> commit(D& device, ring_journal& journal, const planned_batch& batch) {
    BOOST_OUTCOME_TRY(const auto number, write_batch(device, journal, batch));
    BOOST_OUTCOME_TRY(device.sync());
    journal.acknowledge(number);
    return number;
}

/// The entries of a batch as replay must show them.
inline void append_expected(std::vector<logged_entry>& to, const planned_batch& batch, std::uint64_t number) {
    for (auto one : batch.entries) {
        one.sequence = number;
        to.push_back(std::move(one));
    }
}

template <BlockDevice D>
std::vector<logged_entry> replayed(D& device, ring_journal& journal) {
    entry_log log;
    EXPECT_TRUE(journal.replay(device, log));
    return std::move(log.entries);
}

}  // namespace ashlar::test
