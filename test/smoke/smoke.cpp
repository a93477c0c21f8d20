// A program with a plain main and no test framework, so that it also builds without exceptions and RTTI.

#include <ashlar/checksum/xxhash.hpp>
#include <ashlar/format/block_trailer.hpp>
#include <ashlar/vocabulary/extent.hpp>
#include <ashlar/vocabulary/result.hpp>

#include <array>
#include <cstdio>

namespace {

int failures = 0;

void expect(bool holds, const char* what) {
    if (!holds) {
        std::printf("failed: %s\n", what);
        ++failures;
    }
}

}  // namespace

int main() {
    std::array<std::byte, 512>   block{};
    const ashlar::block_identity identity{ashlar::tag::node, 7, 3};
    const auto                   seed = ashlar::identity_seed({}, identity);
    ashlar::seal_block(block, identity.tag, {12}, seed);
    expect(ashlar::is_sealed(block, identity.tag, seed), "a sealed block is whole");
    block[5] = std::byte{1};
    expect(!ashlar::is_sealed(block, identity.tag, seed), "a changed block is not");
    return failures == 0 ? 0 : 1;
}
