#pragma once
/// What is asked of a channel.

#include <ashlar/vocabulary/address.hpp>
#include <ashlar/vocabulary/error.hpp>

#include <span>

namespace ashlar::inline v0 {

enum class request_verb : std::uint8_t {
    read,   ///< Finished when the bytes are there, and proved.
    write,  ///< Finished when others can see it; durable with the next put or sync.
    put,    ///< A write that is finished when it is durable. All puts that are under way share a batch.
    sync,   ///< Finished when everything is durable that was finished before.
};

/// One request: its owner's until submitted, and again once `complete` hands it back. It and its memory stay where they
/// are meanwhile.
struct request {
    request_verb         verb = request_verb::read;
    object_id            object{};
    std::uint64_t        offset = 0;
    std::span<std::byte> memory{};         ///< Read into, or written from; a write only reads it.
    std::uint64_t        token = 0;        ///< The owner's word; nobody looks at it.
    error                failure{};        ///< Code `none` when it succeeded.
    std::size_t          moved = 0;        ///< Bytes; a read has fewer at the end of the object.
    request*             next  = nullptr;  ///< The channel's, while in flight.
};

/// Requests in the order they came.
struct request_list {
    request* first = nullptr;
    request* last  = nullptr;

    [[nodiscard]] bool empty() const noexcept { return first == nullptr; }
    void               push(request& one) noexcept {
                      one.next                               = nullptr;
                      (last == nullptr ? first : last->next) = &one;
                      last                                   = &one;
    }
    request* pop() noexcept {
        request* const one = first;
        if (one == nullptr) return nullptr;
        first = one->next;
        if (first == nullptr) last = nullptr;
        return one;
    }
};

}  // namespace ashlar::inline v0
