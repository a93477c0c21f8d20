#!/usr/bin/env python3
"""Builds the fuzz targets with libFuzzer and runs each: all bytes are an input, and none may break an assertion, a bound or a sanitizer.

Without options each target runs a fixed number of inputs: those of corpus/, then what libFuzzer makes of them, by a seed
that changes each day. --seconds N --cursor C is the form of a long target: step C is one target for a minute at most, and
what it finds interesting stays in the work folder for its next step.

An input that fails is kept in the work folder, and the command that repeats it is printed. When the fault is fixed the
input belongs into corpus/, where it is replayed as a test in every build.

usage: run.py [--compiler clang++-14] [--work FOLDER] [--jobs 2] [--seed N] [--scale X] [TARGET...]
       run.py --seconds N [--cursor C] [...]
"""
import argparse
import concurrent.futures
import datetime
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PARTS = [FOLDER / f"{name}.cpp" for name in ("engine", "image_input", "repair", "walk")] + [
    ROOT / "examples/cli" / f"{name}.cpp" for name in ("failure", "output")]
# Inputs of an ordinary run: some 20 seconds each on one core. Whole images take part by name only: they are large.
RUNS = {"open": 8_000, "recover": 3_500, "operations": 5_000, "decoders": 150_000, "catalogue": 800_000,
        "arguments": 6_000, "json": 12_000}
LONGEST = {"arguments": 512, "json": 512, "decoders": 8192, "catalogue": 2048}
ORDER = ["open", "recover", "operations", "decoders", "open", "recover", "operations", "catalogue", "open", "recover",
         "operations", "arguments", "operations", "json"]
STEP = 60
FLAGS = ["-std=c++20", "-g1", "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=all", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", f"-I{ROOT / 'include'}"]
COMPILERS = ["clang++-14"] + [f"clang++-{version}" for version in range(25, 14, -1)] + ["clang++"]
EXECUTED = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.MULTILINE)
KEPT = re.compile(r"Test unit written to (\S+)")


def run(command, **settings):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False, **settings)


def links(compiler):
    """Whether this compiler is here, with the library of its fuzzer."""
    if shutil.which(compiler) is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder) / "nothing.cpp"
        source.write_text('extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }\n')
        made = run([compiler, "-fsanitize=fuzzer,address,undefined", source, "-o", source.with_suffix("")])
        return made.returncode == 0


def must(command):
    done = run(command)
    if done.returncode != 0:
        sys.exit(f"this failed: {' '.join(map(str, command))}\n{done.stdout[-8000:]}")


def build(compiler, work, names, jobs):
    """One program for each target; the store is compiled once for all of them."""
    cache = [shutil.which("ccache")] if shutil.which("ccache") else []
    objects = work / "objects"
    objects.mkdir(parents=True, exist_ok=True)
    coverage = "-fsanitize=fuzzer-no-link"

    def compiled(source, name, *more):
        made = objects / f"{name}.o"
        must([*cache, compiler, *FLAGS, coverage, *more, "-c", source, "-o", made])
        return made

    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        parts = [pool.submit(compiled, source, source.stem) for source in PARTS]
        targets = {name: (pool.submit(compiled, FOLDER / f"{name}.cpp", name),
                          pool.submit(compiled, FOLDER / "libfuzzer.cpp", f"main_{name}",
                                      f"-DASHLAR_FUZZ_TARGET={name}_target")) for name in names}
        library = work / "libparts.a"
        library.unlink(missing_ok=True)
        must(["ar", "rcs", library, *[part.result() for part in parts]])
        programs = {name: work / f"fuzz_{name}" for name in names}
        linked = [pool.submit(must, [compiler, *FLAGS, "-fsanitize=fuzzer", main.result(), target.result(), library,
                                     "-lfmt", "-o", programs[name]]) for name, (target, main) in targets.items()]
        for one in linked:
            one.result()
    return programs


def fuzz(name, program, work, seed, corpus, *limits):
    """Runs one target; answers whether it held, how many inputs it ran, and what to say."""
    crashes = work / "crashes"
    crashes.mkdir(exist_ok=True)
    command = [program, f"-seed={seed % 2 ** 31 or 1}", f"-max_len={LONGEST.get(name, 1024)}", "-timeout=25",
               "-rss_limit_mb=2048", "-malloc_limit_mb=512", "-entropic=0", "-print_final_stats=1",
               f"-artifact_prefix={crashes}/{name}-", *limits, corpus, FOLDER / "corpus" / name]
    done = run(command, cwd=work)
    executed = EXECUTED.search(done.stdout)
    count = int(executed[1]) if executed else 0
    if done.returncode == 0 and executed:
        return True, count, ""
    kept = KEPT.search(done.stdout)
    text = [line for line in done.stdout.splitlines() if line.strip()]
    first = next((i for i, line in enumerate(text) if line.startswith("not so:") or "ERROR" in line
                  or "runtime error" in line), max(0, len(text) - 30))
    say = "\n".join("    | " + line[:300] for line in text[first:first + 30])
    if kept:
        say += f"\n    repeat it: {program} {kept[1]}\n    once it is fixed: cp {kept[1]} {FOLDER / 'corpus' / name}/"
    return False, count, say


def note(count):
    """Adds to the report's counter, in the form of counts.hpp."""
    folder = os.environ.get("ASHLAR_COUNTS")
    if folder and count:
        with open(pathlib.Path(folder) / f"{os.getpid()}.txt", "a", encoding="utf-8") as file:
            file.write(f"{count}\tfuzz executions\n")


def run_all(programs, options):
    seed = options.seed if options.seed is not None else datetime.date.today().toordinal()
    print(f"{len(programs)} targets by seed {seed} (--seed {seed} repeats it)", flush=True)
    total, failed = 0, []

    def one(name):
        begin = time.monotonic()
        with tempfile.TemporaryDirectory() as grown:
            held = fuzz(name, programs[name], options.work, seed, pathlib.Path(grown),
                        f"-runs={max(1, int(RUNS[name] * options.scale))}")
        return name, time.monotonic() - begin, held

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, seconds, (passed, count, say) in pool.map(one, programs):
            total += count
            print(f"{name + ':':12} {count} inputs in {seconds:.0f} s{'' if passed else '  FAILED'}", flush=True)
            if not passed:
                failed.append(name)
                print(say, flush=True)
    print(f"{total} fuzz executions")
    note(total)
    return failed


def run_long(programs, options):
    begin, total, cursor, passed = time.monotonic(), 0, options.cursor, True
    order = [name for name in ORDER if name in programs]
    while passed:
        name = order[cursor % len(order)]
        left = options.seconds - (time.monotonic() - begin)
        corpus = options.work / "corpus" / name
        corpus.mkdir(parents=True, exist_ok=True)
        passed, count, say = fuzz(name, programs[name], options.work, cursor + 1, corpus,
                                  f"-max_total_time={max(5, min(STEP, int(left)))}")
        total += count
        print(f"{name + ':':12} {count} inputs{'' if passed else '  FAILED'}", flush=True)
        if not passed:
            print(say)
            print(f"FAILED at --cursor {cursor}")
            break
        cursor += 1
        if time.monotonic() - begin >= options.seconds - 5:
            break
    note(total)
    print(f"LONG cursor={cursor} count={total} seconds={time.monotonic() - begin:.1f}")
    return [] if passed else [name]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/fuzz")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--scale", type=float, default=1)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--cursor", type=int, default=0)
    parser.add_argument("targets", nargs="*")
    options = parser.parse_args()
    options.work = options.work.resolve()
    if unknown := set(options.targets) - RUNS.keys():
        parser.error(f"no target is called {', '.join(sorted(unknown))}; there are {', '.join(RUNS)}")
    compiler = options.compiler or next(filter(links, COMPILERS), None)
    if compiler is None:
        sys.exit("no clang with libFuzzer is here; on Debian: apt-get install clang-14 libclang-rt-14-dev")
    programs = build(compiler, options.work, options.targets or list(RUNS), options.jobs)
    failed = run_all(programs, options) if options.seconds is None else run_long(programs, options)
    sys.exit(f"FAILED: {', '.join(failed)}" if failed else 0)


if __name__ == "__main__":
    main()
