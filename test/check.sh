#!/usr/bin/env bash
# Everything that ./run test leaves out. Every section runs, also after one has failed; the last lines say which did.
# With names as arguments only these sections run.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly jobs=2
readonly suites='^store/'  # What other compilers run of the unit tests.
wanted=("$@")
passed=()
failed=()

section() {
    local name=$1 begin=$SECONDS
    shift
    if ((${#wanted[@]} > 0)) && [[ " ${wanted[*]} " != *" $name "* ]]; then return; fi
    printf '\n== %s\n' "$name"
    if "$@"; then passed+=("$name ($((SECONDS - begin)) s)"); else failed+=("$name ($((SECONDS - begin)) s)"); fi
}

build() {
    local preset=$1
    shift
    cmake --preset "$preset" "$@" >/dev/null && cmake --build "build/$preset" -j "$jobs"
}

run_ctest() {
    local preset=$1
    shift
    ctest --test-dir "build/$preset" -j "$jobs" --output-on-failure --no-tests=error "$@" </dev/null
}

# ---- sections --------------------------------------------------------------------------------------------------------

other_compiler() {
    local preset=$1 compiler=$2
    python3 test/headers/alone.py "$compiler" &&
        python3 test/headers/alone.py "$compiler" -fno-exceptions -fno-rtti &&
        python3 test/compile_fail/run.py "$compiler" &&
        python3 test/readme/run.py "$compiler" &&
        build "$preset" "-DASHLAR_TEST_ONLY=$suites" &&
        run_ctest "$preset"
}

no_exceptions() {
    build no-exceptions &&
        cmake --build build/no-exceptions -j "$jobs" --target all_verify_interface_header_sets &&
        run_ctest no-exceptions
}

# The thread sanitizer of g++ 12 cannot map its memory where the kernel scatters addresses widely.
threads() {
    build tsan "-DASHLAR_TEST_ONLY=^(device|hosted|threads)/|_threads_test" &&
        ASHLAR_TEST_SCALE=0.25 setarch "$(uname -m)" -R \
            ctest --test-dir build/tsan -j "$jobs" --output-on-failure --no-tests=error </dev/null
}

# Only by name: some 2 GB of memory and half a minute.
million() {
    cmake --preset gcc -B build/million "-DASHLAR_TEST_ONLY=^threads/" -DASHLAR_EXAMPLES=OFF -DASHLAR_TREE_TESTS=OFF >/dev/null &&
        cmake --build build/million -j "$jobs" --target test_threads &&
        ASHLAR_TEST_SCALE=50 build/million/test/test_threads --gtest_filter='MillionObjects.*'
}

firmware() {
    python3 test/firmware/run.py &&
        python3 test/headers/alone.py --portable --include build/firmware/include \
            arm-none-eabi-g++ -mcpu=cortex-m4 -mthumb -Os -fno-exceptions -fno-rtti -DNDEBUG
}

# No program of Windows is run here: the portable headers compile, and a program of theirs links.
windows() {
    python3 test/headers/alone.py --portable --include build/firmware/include x86_64-w64-mingw32-g++-posix &&
        mkdir -p build/windows &&
        x86_64-w64-mingw32-g++-posix -std=c++20 -O1 -Wall -Wextra -Wconversion -Wshadow -Werror -Iinclude \
            -isystem build/firmware/include -static test/smoke/smoke.cpp -o build/windows/smoke.exe
}

# Engine instructions of read, write, commit, allocate and move, within 5 % of test/instructions/counts.json.
instructions() { python3 test/instructions/run.py; }

# All of them apply; five are run, the next five each day. The long target runs them all.
mutants() { python3 test/mutants/run.py --today 5; }

# The tests of the bytes on disk, and the golden images, where the most significant byte comes first: under qemu.
big_endian() { python3 test/big_endian/run.py; }

# The protocol's models, small: without a fault nothing is found, with each planted one something is.
model() { python3 test/model/run.py; }

# Every fuzz target, for a fixed number of runs.
fuzz() { python3 test/fuzz/run.py; }

# Which lines and branches tests reach; fails below the floors of test/coverage/floors.json.
coverage() { python3 test/coverage/run.py; }

format() { git ls-files -z '*.hpp' '*.cpp' | xargs -0 clang-format --dry-run -Werror 2>&1 | head -40; }

section firmware firmware
section windows windows
section no-exceptions no_exceptions
section clang-14 other_compiler clang clang++-14
section clang-19 other_compiler clang-19 clang++-19
section threads threads
section instructions instructions
if [[ " ${wanted[*]-} " == *" million "* ]]; then section million million; fi
section mutants mutants
section model model
section big-endian big_endian
section fuzz fuzz
section coverage coverage
section format format

printf '\n== check\n'
((${#passed[@]} > 0)) && printf 'passed: %s\n' "${passed[@]}"
((${#failed[@]} > 0)) && printf 'FAILED: %s\n' "${failed[@]}"
((${#failed[@]} == 0))
