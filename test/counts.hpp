#pragma once
/// What tests have done, for RELIABILITY.md.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include <unistd.h>

namespace ashlar::test {

/// Adds to a counter of the report. Where ASHLAR_COUNTS names a folder, a line "count TAB name" goes to a file of this
/// process in it; without it nothing happens.
inline void count(std::string_view name, std::uint64_t much) {
    const char* const folder = std::getenv("ASHLAR_COUNTS");
    if (folder == nullptr || *folder == '\0') return;
    const std::string path = std::string{folder} + "/" + std::to_string(getpid()) + ".txt";
    std::FILE* const  file = std::fopen(path.c_str(), "a");
    if (file == nullptr) return;
    std::fprintf(file, "%llu\t%.*s\n", static_cast<unsigned long long>(much), static_cast<int>(name.size()),
                 name.data());
    std::fclose(file);
}

}  // namespace ashlar::test
