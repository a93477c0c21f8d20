// What a user's first program sees: the headers are found, and their code runs.

#include <ashlar/blueprint.hpp>
#include <ashlar/device/memory_device.hpp>

#include <array>

int main() {
    auto device = ashlar::memory_device::create({512}, {8});
    if (!device) return 1;
    std::array<std::byte, 512> written{};
    std::array<std::byte, 512> read{};
    written[17] = std::byte{42};
    const ashlar::extent place{{3}, {1}};
    if (!device.value().write(place, written) || !device.value().read(place, read)) return 1;
    return read == written && ashlar::xxh3::of(read) == ashlar::xxh3::of(written) ? 0 : 1;
}
