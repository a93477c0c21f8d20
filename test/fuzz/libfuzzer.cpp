/// One target as libFuzzer wants it. ASHLAR_FUZZ_TARGET is its name in target.hpp.

#include "target.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t size_max);
extern "C" int         LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed);

namespace {
constexpr const ashlar::fuzz::target& chosen = ashlar::fuzz::ASHLAR_FUZZ_TARGET;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    chosen.run({reinterpret_cast<const std::byte*>(data), size});
    return 0;
}

/// What libFuzzer does of itself, and then the checksums: three times in four, so that the checks themselves are met
/// too.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t size_max,
                                               unsigned seed) {
    const std::size_t mutated = LLVMFuzzerMutate(data, size, size_max);
    if (chosen.repair != nullptr && seed % 4 != 0) chosen.repair({reinterpret_cast<std::byte*>(data), mutated});
    return mutated;
}
