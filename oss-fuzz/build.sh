#!/bin/bash -eu
# Builds the targets of test/fuzz into $OUT, each with its corpus: the environment of OSS-Fuzz, or by hand
#
#   OUT=/tmp/out CXX=clang++-14 CXXFLAGS='-O1 -fsanitize=address,undefined,fuzzer-no-link' \
#       LIB_FUZZING_ENGINE='-fsanitize=fuzzer' oss-fuzz/build.sh

cd "$(dirname "${BASH_SOURCE[0]}")"
[[ -e ../test/fuzz/libfuzzer.cpp ]] && cd .. || cd "$SRC/ashlar"

work=${WORK:-$(mktemp -d)}
mkdir -p "$OUT" "$work"
# Only what is linked in is there when a target runs, so fmt comes as headers.
read -ra flags <<<"${CXXFLAGS:-}"
flags+=(-std=c++20 -Iinclude -DFMT_HEADER_ONLY)
read -ra engine <<<"$LIB_FUZZING_ENGINE"

compile() { "$CXX" "${flags[@]}" "${@:3}" -c "$1" -o "$work/$2.o"; }

parts=()
for part in test/fuzz/{engine,image_input,repair,walk}.cpp examples/cli/{failure,output}.cpp; do
    name=$(basename "$part" .cpp)
    compile "$part" "$name"
    parts+=("$work/$name.o")
done
rm -f "$work/libparts.a"
ar rcs "$work/libparts.a" "${parts[@]}"

for target in open recover operations decoders catalogue arguments json; do
    compile "test/fuzz/$target.cpp" "$target"
    compile test/fuzz/libfuzzer.cpp "main_$target" "-DASHLAR_FUZZ_TARGET=${target}_target"
    "$CXX" "${flags[@]}" "$work/main_$target.o" "$work/$target.o" "$work/libparts.a" "${engine[@]}" \
        -o "$OUT/fuzz_$target"
    rm -f "$OUT/fuzz_${target}_seed_corpus.zip"
    zip -jqr "$OUT/fuzz_${target}_seed_corpus.zip" "test/fuzz/corpus/$target"
    printf '[libfuzzer]\nmax_len = %s\n' "$([[ $target == decoders ]] && echo 8192 || echo 2048)" \
        >"$OUT/fuzz_$target.options"
done
