#pragma once
/// What a store holds, as a map of bytes: to be compared, and to be told in one number.

#include <ashlar/checksum/xxh3.hpp>
#include <ashlar/maintenance/verifier.hpp>
#include <ashlar/testing/random_bits.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace ashlar::inline v0 {

/// What a store holds: the bytes of each object, by its id.
using model_state = std::map<std::uint64_t, std::vector<std::byte>>;

/// Bytes that tell from which write they are: the same seed gives the same bytes, and no byte is zero, as holes are.
[[nodiscard]] inline std::vector<std::byte> pattern(std::size_t bytes, std::uint64_t seed) {
    std::vector<std::byte> made(bytes);
    random_bits{seed * 2 + 1}.fill(made);
    for (auto& one : made) one |= std::byte{1};
    return made;
}

/// What a call answered, in words.
template <class T>
[[nodiscard]] std::string said(const result<T>& answer) {
    if (answer) return "no error";
    return std::string{message(answer.error().code)} + " at block " + std::to_string(answer.error().where.value);
}

/// What a write makes of an object; past the end it grows, with zeros between.
inline void model_write(std::vector<std::byte>& object, std::uint64_t offset, std::span<const std::byte> bytes) {
    if (bytes.empty()) return;
    if (object.size() < offset + bytes.size()) object.resize(offset + bytes.size());
    std::memcpy(object.data() + offset, bytes.data(), bytes.size());
}

/// What a punch makes of it; the size stays.
inline void model_punch(std::vector<std::byte>& object, std::uint64_t offset, std::uint64_t length) {
    for (std::uint64_t i = offset; i < object.size() && i - offset < length; ++i) object[i] = std::byte{0};
}

/// One number for an object's name and bytes.
[[nodiscard]] inline std::uint64_t digest_of(std::uint64_t id, std::span<const std::byte> bytes) {
    return random_bits{xxh3_64(bytes) + id * 0x9E37'79B9'7F4A'7C15U + bytes.size()}.next();
}

/// One number for all that a store holds. Two states of different content share it once in 2^64.
[[nodiscard]] inline std::uint64_t digest_of(const model_state& state) {
    std::uint64_t sum = 0;
    for (const auto& [id, bytes] : state) sum += digest_of(id, bytes);
    return sum;
}

/// The same number for what an open store answers. Errors: those of the store; damaged where a size makes no sense.
template <class Store>
[[nodiscard]] result<std::uint64_t> digest_on(Store& opened) {
    constexpr std::uint64_t size_max = std::uint64_t{1} << 26U;
    std::uint64_t           sum      = 0;
    std::vector<std::byte>  bytes;
    for (object_id at{};;) {
        BOOST_OUTCOME_TRY(const auto next, opened.next_object(at));
        if (!next) return sum;
        at = *next;
        BOOST_OUTCOME_TRY(const auto size, opened.size(at));
        if (size > size_max) return errc::damaged;
        bytes.assign(static_cast<std::size_t>(size), std::byte{0xEE});
        BOOST_OUTCOME_TRY(const auto read, opened.read(at, 0, std::span<std::byte>{bytes}));
        if (read != size) return errc::damaged;
        sum += digest_of(at.value, bytes);
    }
}

/// Where an open store differs from what it should hold, as a sentence; empty where it does not.
template <class Store>
[[nodiscard]] std::string difference(Store& opened, const model_state& expected) {
    object_id at{};
    for (const auto& [id, bytes] : expected) {
        const auto next = opened.next_object(at);
        if (!next) return "next_object: " + said(next);
        if (!next.value() || next.value()->value != id) return "the next object is not " + std::to_string(id);
        at              = *next.value();
        const auto size = opened.size(at);
        if (!size) return "size: " + said(size);
        if (size.value() != bytes.size()) {
            return "object " + std::to_string(id) + " has " + std::to_string(size.value()) + " bytes, not " +
                   std::to_string(bytes.size());
        }
        std::vector<std::byte> found(bytes.size(), std::byte{0xEE});
        const auto             read = opened.read(at, 0, std::span<std::byte>{found});
        if (!read) return "read of " + std::to_string(id) + ": " + said(read);
        if (read.value() != found.size()) return "a read of " + std::to_string(id) + " is short";
        for (std::size_t i = 0; i < found.size(); ++i) {
            if (found[i] != bytes[i])
                return "object " + std::to_string(id) + " differs at byte " + std::to_string(i) + " of " +
                       std::to_string(found.size());
        }
    }
    const auto next = opened.next_object(at);
    if (!next) return "next_object: " + said(next);
    if (next.value()) return "object " + std::to_string(next.value()->value) + " is too many";
    return {};
}

/// Adds one finding of `verify` to a text that stays short.
inline void add_finding(std::string& text, const verify_finding& finding) {
    constexpr std::size_t enough = 400;
    if (text.size() > enough) return;
    text += std::string{name_of(finding.problem)} + " at block " + std::to_string(finding.block.value) + " of object " +
            std::to_string(finding.object.value) + " (" + message(finding.why.code) + "); ";
}

/// What `verify` finds, as text; empty for a whole volume.
template <class Store>
[[nodiscard]] std::string findings_of(Store& opened) {
    std::string found;
    const auto  report = opened.verify([&](const verify_finding& finding) { add_finding(found, finding); });
    if (!report) return "verify: " + said(report);
    if (report.value().findings != 0 && found.empty()) return "findings without a word";
    return found;
}

}  // namespace ashlar::inline v0
