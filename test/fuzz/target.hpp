#pragma once
/// What a fuzz target is: bytes in, nothing out. A bound that is broken, an assertion and a sanitizer end the process.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <span>
#include <string>
#include <vector>

namespace ashlar::fuzz {

using byte_vector = std::vector<std::byte>;
using bytes_in    = std::span<const std::byte>;

/// An input with a name, to begin with.
struct seed_input {
    std::string name{};
    byte_vector bytes{};
};

struct target {
    const char* name = "";
    /// Runs one input.
    void (*run)(bytes_in) = nullptr;
    /// Puts the checksums of a mutated input right, in place, so that it reaches past the first check. Null where the
    /// target itself does so when its input says so.
    void (*repair)(std::span<std::byte>) = nullptr;
    /// Inputs to begin with.
    std::vector<seed_input> (*seeds)() = nullptr;
};

extern const target open_target;
extern const target recover_target;
extern const target operations_target;
extern const target decoders_target;
extern const target catalogue_target;
extern const target arguments_target;
extern const target json_target;

/// Ends the process with a sentence where something that must hold does not, in every build.
inline void expect(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "\nnot so: %s\n", what);
    std::fflush(stderr);
    std::abort();
}

}  // namespace ashlar::fuzz
