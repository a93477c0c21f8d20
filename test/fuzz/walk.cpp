/// Looks at everything that a store holds. Bounded, because an image may claim any number and size.

#include "engine.hpp"

#include <ashlar/checksum/xxhash.hpp>

namespace ashlar::fuzz {
namespace {

constexpr unsigned    objects_max = 200;
constexpr unsigned    extents_max = 1000;
constexpr std::size_t bytes_max   = 1U << 18U;

/// Reads from the front, and the last bytes of what is larger.
result<byte_vector> read_object(live_store& live, object_id id, std::uint64_t size) {
    byte_vector bytes(static_cast<std::size_t>(size < bytes_max ? size : bytes_max));
    BOOST_OUTCOME_TRY(const auto got, live.read(id, 0, bytes));
    bytes.resize(got);
    if (size > bytes_max) {
        byte_vector tail(4096);
        BOOST_OUTCOME_TRY(const auto more, live.read(id, size - 2000, tail));
        expect(more <= 2000, "a read does not pass the end of its object");
        bytes.insert(bytes.end(), tail.begin(), tail.begin() + static_cast<std::ptrdiff_t>(more));
    }
    return bytes;
}

/// Walks the extents of an object; false where that fails.
bool walk_extents(live_store& live, object_id id) {
    logical_block from{};
    for (unsigned i = 0; i < extents_max; ++i) {
        const auto piece = live.next_extent(id, from);
        if (!piece) return false;
        if (!piece.value()) return true;
        const auto next = piece.value()->logical + piece.value()->physical.count;
        expect(next > from, "each extent lies behind the one before");
        from = next;
    }
    return true;
}

}  // namespace

seen look_at_everything(live_store& live) {
    seen      answer;
    object_id last{};
    for (unsigned i = 0; i < objects_max; ++i) {
        const auto next = live.next_object(last);
        if (!next) answer.whole = false;
        if (!next || !next.value()) break;
        expect(*next.value() > last, "each object has a larger id than the one before");
        last            = *next.value();
        const auto info = live.info(last);
        if (!info || !walk_extents(live, last)) answer.whole = false;
        if (!info) continue;
        const auto bytes = read_object(live, last, info.value().size);
        if (!bytes) {
            answer.whole = false;
            continue;
        }
        answer.digest =
            xxh3_64(bytes.value()) + answer.digest * 0x9E37'79B9'7F4A'7C15U + last.value + info.value().size;
    }
    static_cast<void>(live.info());
    answer.whole        = live.free_runs().has_value() && answer.whole;
    answer.whole        = live.fragmentation().has_value() && answer.whole;
    const auto findings = live.verify();
    answer.whole        = findings.has_value() && findings.value() == 0 && answer.whole;
    return answer;
}

contents contents_of_readable(live_store& live) {
    contents  all;
    object_id last{};
    for (unsigned i = 0; i < objects_max; ++i) {
        const auto next = live.next_object(last);
        if (!next || !next.value()) break;
        last            = *next.value();
        const auto info = live.info(last);
        if (!info) continue;
        auto bytes = read_object(live, last, info.value().size);
        if (bytes) all[last.value] = std::move(bytes).value();
    }
    return all;
}

std::optional<contents> contents_of(live_store& live) {
    contents  all;
    object_id last{};
    for (;;) {
        const auto next = live.next_object(last);
        if (!next) return std::nullopt;
        if (!next.value()) return all;
        last            = *next.value();
        const auto info = live.info(last);
        if (!info) return std::nullopt;
        byte_vector bytes(static_cast<std::size_t>(info.value().size));
        const auto  got = live.read(last, 0, bytes);
        if (!got || got.value() != bytes.size()) return std::nullopt;
        all[last.value] = std::move(bytes);
    }
}

}  // namespace ashlar::fuzz
