/// Runs kept inputs through their targets, without libFuzzer: as a test in every build, and to repeat a crash.
///
///   fuzz_replay FOLDER            each file FOLDER/TARGET/*; fails where a target has none
///   fuzz_replay TARGET FILE...    these files
///   fuzz_replay --seeds FOLDER    writes the inputs that fuzzing begins with

#include "engine.hpp"

#include "../counts.hpp"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace ashlar::fuzz {
namespace {

namespace files = std::filesystem;

const target* const targets[] = {&open_target,      &recover_target,   &operations_target, &decoders_target,
                                 &catalogue_target, &arguments_target, &json_target};

/// The input that runs, for the words that a crash leaves behind.
char running[512] = "nothing";

extern "C" void name_input(int number) {
    const auto say = [](const char* text) {
        if (write(STDERR_FILENO, text, std::strlen(text)) < 0) _exit(3);
    };
    say("\nthe input that did it: ");
    say(running);
    say("\n");
    std::signal(number, SIG_DFL);
    std::raise(number);
}

byte_vector bytes_of_file(const files::path& path) {
    std::ifstream     file{path, std::ios::binary};
    const std::string text{std::istreambuf_iterator<char>{file}, {}};
    expect(file.good() || file.eof(), "an input can be read");
    byte_vector bytes(text.size());
    if (!text.empty()) std::memcpy(bytes.data(), text.data(), text.size());
    return bytes;
}

void run_file(const target& on, const files::path& path) {
    std::snprintf(running, sizeof running, "%s", path.c_str());
    on.run(bytes_of_file(path));
}

std::vector<files::path> files_in(const files::path& folder) {
    std::vector<files::path> found;
    if (!files::is_directory(folder)) return found;
    for (const auto& entry : files::directory_iterator{folder}) {
        if (entry.is_regular_file()) found.push_back(entry.path());
    }
    std::sort(found.begin(), found.end());
    return found;
}

int replay_all(const files::path& folder) {
    std::uint64_t count = 0;
    for (const auto* one : targets) {
        const auto inputs = files_in(folder / one->name);
        if (inputs.empty()) {
            std::fprintf(stderr, "there is no input in %s\n", (folder / one->name).c_str());
            return 1;
        }
        for (const auto& path : inputs) run_file(*one, path);
        count += inputs.size();
        std::printf("%s: %zu inputs\n", one->name, inputs.size());
    }
    const auto most = most_spent();
    std::printf("most expensive, in percent of the bound: open %u, operation %u, walk %u\n", most.open, most.operation,
                most.walk);
    test::count("fuzz inputs replayed", count);
    return 0;
}

int write_seeds(const files::path& folder) {
    for (const auto* one : targets) {
        files::create_directories(folder / one->name);
        for (const auto& seed : one->seeds()) {
            std::ofstream file{folder / one->name / seed.name, std::ios::binary};
            file.write(reinterpret_cast<const char*>(seed.bytes.data()),
                       static_cast<std::streamsize>(seed.bytes.size()));
            if (!file.flush()) return 1;
        }
    }
    return 0;
}

int run_files(const char* name, char** first, char** last) {
    for (const auto* one : targets) {
        if (std::strcmp(one->name, name) != 0) continue;
        for (; first != last; ++first) run_file(*one, *first);
        return 0;
    }
    std::fprintf(stderr, "there is no target '%s'\n", name);
    return 2;
}

}  // namespace
}  // namespace ashlar::fuzz

int main(int count, char** words) {
    using namespace ashlar::fuzz;
    for (const int number : {SIGILL, SIGTRAP, SIGABRT, SIGSEGV, SIGFPE, SIGBUS}) std::signal(number, name_input);
    if (count == 2) return replay_all(words[1]);
    if (count == 3 && std::strcmp(words[1], "--seeds") == 0) return write_seeds(words[2]);
    if (count >= 3) return run_files(words[1], words + 2, words + count);
    std::fprintf(stderr, "usage: %s FOLDER | TARGET FILE... | --seeds FOLDER\n", words[0]);
    return 2;
}
