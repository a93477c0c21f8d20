#pragma once
/// Shared by the tests of sizes: a volume at the beginning of a larger device.

#include "../region/region_fixture.hpp"

#include <ashlar/resize.hpp>

namespace ashlar::test {

/// Memory with a volume of fewer blocks in it.
template <class Store = test_store>
memory_device make_spare(const volume_shape& shape, std::uint64_t device_blocks) {
    auto small = make_memory(shape);
    format_on<Store>(small, shape);
    auto large = memory_device::create({shape.block_bytes}, block_count{device_blocks});
    EXPECT_TRUE(large);
    std::memcpy(large.value().bytes().data(), small.bytes().data(), small.bytes().size());
    return std::move(large).value();
}

/// Appends to a new object until there is no space, in pieces of an odd size. Answers the object.
template <class Store>
object_id fill(Store& opened, std::uint32_t seed, std::uint64_t& bytes) {
    const auto id = opened.create();
    EXPECT_TRUE(id) << said(id);
    for (bytes = 0;;) {
        const auto piece = pattern(3, 333, seed + static_cast<std::uint32_t>(bytes / 999));
        if (const auto done = opened.append(id.value(), piece); !done) {
            EXPECT_TRUE(code_of(done) == errc::no_space || code_of(done) == errc::reserve_only) << said(done);
            return id.value();
        }
        bytes += piece.size();
    }
}
template <class Store>
void expect_filled(Store& opened, object_id id, std::uint32_t seed, std::uint64_t bytes) {
    byte_vector seen(999);
    for (std::uint64_t at = 0; at < bytes; at += 999) {
        const auto read = opened.read(id, at, seen);
        ASHLAR_ASSERT_OK(read);
        ASSERT_EQ(seen, pattern(3, 333, seed + static_cast<std::uint32_t>(at / 999))) << "at byte " << at;
    }
}

}  // namespace ashlar::test
