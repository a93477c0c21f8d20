#pragma once
/// What a value is, in memory and in the index's records, and how its blocks prove themselves.

#include "index_log.hpp"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace own_engine {

/// A key's bytes. They lie in pieces, each a run of blocks, in order; neighbours that touch are one piece.
struct value {
    std::string      key;
    std::uint64_t    size = 0;  ///< Bytes.
    std::vector<run> pieces{};
    std::uint64_t    generation = 0;  ///< New whenever a piece or its place changes. Not on disk: who asks is gone too.
};
/// By an id that is never used twice: a key that is put again is another value.
using value_map = std::map<std::uint64_t, value>;

/// The end of every data block: whose it is, and the proof. So a block can be verified by whoever reads it, wherever it
/// was moved to.
struct block_tail {
    std::uint64_t id     = 0;
    std::uint64_t number = 0;  ///< The block's place in its value.
    std::uint64_t sum    = 0;
};
inline constexpr std::size_t payload_bytes = block_bytes - sizeof(block_tail);

[[nodiscard]] constexpr std::uint64_t blocks_of(std::uint64_t size) noexcept {
    return size / payload_bytes + (size % payload_bytes != 0 ? 1U : 0U);
}

inline void seal_block(std::span<std::byte> block, std::uint64_t id, std::uint64_t number) noexcept {
    block_tail tail{id, number, 0};
    std::memcpy(block.data() + payload_bytes, &tail, sizeof tail);
    tail.sum = sum_of(block, block_bytes);
    std::memcpy(block.data() + payload_bytes, &tail, sizeof tail);
}

/// Empty when the block is not whole; that is also what a block that was never written looks like.
[[nodiscard]] inline std::optional<block_tail> proven_tail(std::span<const std::byte> block) noexcept {
    block_tail tail;
    std::memcpy(&tail, block.data() + payload_bytes, sizeof tail);
    const auto zero = std::uint64_t{0};
    const auto body = sum_of(block.first(block_bytes - sizeof zero), block_bytes);
    const auto sum  = sum_of({reinterpret_cast<const std::byte*>(&zero), sizeof zero}, body);
    return sum == tail.sum ? std::optional{tail} : std::nullopt;
}

[[nodiscard]] inline bool proven(std::span<const std::byte> blocks) noexcept {
    for (; !blocks.empty(); blocks = blocks.subspan(block_bytes)) {
        if (!proven_tail(blocks.first(block_bytes))) return false;
    }
    return true;
}

/// Adds a run behind the last piece, or lengthens it.
inline void add_piece(std::vector<run>& pieces, run more) {
    if (more.count == 0) return;
    if (!pieces.empty() && pieces.back().end() == more.first)
        pieces.back().count += more.count;
    else
        pieces.push_back(more);
}

// ---- records
// --------------------------------------------------------------------------------------------------------- A record:
// the next id, then entries. An entry: id, size, length of the key, number of pieces, the key, the pieces. The size
// `erased` says that there is no such value any more.

inline constexpr std::uint64_t erased = ~std::uint64_t{0};

inline void put_word(bytes& out, std::uint64_t word) {
    const auto at = out.size();
    out.resize(at + sizeof word);
    std::memcpy(out.data() + at, &word, sizeof word);
}

inline void put_entry(bytes& out, std::uint64_t id, const value* v) {
    put_word(out, id);
    put_word(out, v != nullptr ? v->size : erased);
    if (v == nullptr) return;
    put_word(out, v->key.size());
    put_word(out, v->pieces.size());
    const auto* const key = reinterpret_cast<const std::byte*>(v->key.data());
    out.insert(out.end(), key, key + v->key.size());
    for (const auto& piece : v->pieces) {
        put_word(out, piece.first);
        put_word(out, piece.count);
    }
}

/// Applies one record to the values. False when it contradicts itself; nothing in it is believed unchecked.
[[nodiscard]] inline bool apply_record(std::span<const std::byte> from, value_map& values, std::uint64_t& next_id) {
    const auto word = [&from](std::uint64_t& into) {
        if (from.size() < sizeof into) return false;
        std::memcpy(&into, from.data(), sizeof into);
        from = from.subspan(sizeof into);
        return true;
    };
    if (!word(next_id)) return false;
    while (!from.empty()) {
        std::uint64_t id = 0, key_length = 0, pieces = 0;
        value         v;
        if (!word(id) || !word(v.size)) return false;
        values.erase(id);
        if (v.size == erased) continue;
        if (!word(key_length) || !word(pieces) || key_length > from.size()) return false;
        v.key.assign(reinterpret_cast<const char*>(from.data()), key_length);
        from = from.subspan(key_length);
        if (pieces > from.size() / sizeof(run)) return false;
        for (v.pieces.resize(pieces); auto& piece : v.pieces) {
            if (!word(piece.first) || !word(piece.count)) return false;
        }
        if (id == 0 || id >= next_id) return false;
        values.emplace(id, std::move(v));
    }
    return true;
}

}  // namespace own_engine
