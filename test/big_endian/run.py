#!/usr/bin/env python3
"""Runs the tests of the formats, of the journal and of the golden images on a machine that counts bytes the other way.

They are cross-compiled for s390x, which is big-endian, and run under qemu: what they write must be the same bytes, and the
images that a little-endian machine made must open. Needs s390x-linux-gnu-g++, qemu-s390x and the sources of googletest in
/usr/src/googletest. The recorded crash states of the journal are left out: they ask about order, not about bytes.

usage: run.py [--work FOLDER] [--jobs N]
"""
import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
TESTS = ROOT / "test"
GOOGLETEST = pathlib.Path("/usr/src/googletest/googletest")
COMPILER = "s390x-linux-gnu-g++"
EMULATOR = "qemu-s390x"
LIBRARIES = ["boost", "range", "concepts", "meta", "std", "xxhash.h"]  # range-v3 stands in the four folders in the middle.
FLAGS = ["-std=c++20", "-O1"]
LEFT_OUT = ["*RingJournalCrash*"]


def run(*command, limit=900):
    """What it printed; ends everything where it failed."""
    try:
        done = subprocess.run([str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=limit, check=False)
    except subprocess.TimeoutExpired:
        sys.exit(f"not finished after {limit} s: {' '.join(map(str, command))}")
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n" + "\n".join(done.stdout.splitlines()[-40:]))
    return done.stdout


def link_libraries(folder):
    """The host's header-only libraries in a folder of their own: the host's C library must not be seen by the cross compiler."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in LIBRARIES:
        found = [place / name for place in (pathlib.Path("/usr/local/include"), pathlib.Path("/usr/include"))
                 if (place / name).exists()]
        if found:
            (folder / name).symlink_to(found[0])
        elif name != "std":
            sys.exit(f"no {name} was found in /usr/include")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "big-endian")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    for program in (COMPILER, EMULATOR):
        if shutil.which(program) is None:
            sys.exit(f"no {program} was found (Debian: g++-s390x-linux-gnu, qemu-user)")
    if not GOOGLETEST.exists():
        sys.exit(f"no sources of googletest were found in {GOOGLETEST} (Debian: googletest)")
    begin = time.monotonic()
    link_libraries(asked.work / "include")
    compiler = ["ccache", COMPILER] if shutil.which("ccache") else [COMPILER]

    def compile_one(job):
        source, target, flags = job
        run(*compiler, *FLAGS, *flags, "-c", source, "-o", target)
        return target

    framework = [(GOOGLETEST / "src" / name, asked.work / f"{name}.o", ["-I", GOOGLETEST, "-I", GOOGLETEST / "include"])
                 for name in ("gtest-all.cc", "gtest_main.cc")]
    flags = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", f"-I{ROOT / 'include'}", "-isystem", asked.work / "include",
             "-isystem", GOOGLETEST / "include", f'-DASHLAR_SOURCE="{ROOT}"']
    sources = sorted(path for folder in ("format", "journal", "golden") for path in (TESTS / folder).glob("*_test.cpp"))
    jobs = framework + [(path, asked.work / f"{path.stem}.o", flags) for path in sources if path.stem != "ring_journal_crash_test"]
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as pool:
        objects = list(pool.map(compile_one, jobs))
    program = asked.work / "tests"
    run(COMPILER, "-static", *objects, "-o", program, "-pthread")
    built = time.monotonic()
    said = run(EMULATOR, program, "--gtest_brief=1", f"--gtest_filter=-{':'.join(LEFT_OUT)}")
    passed = re.search(r"\[  PASSED  \] (\d+) tests?\.", said)
    if not passed or int(passed.group(1)) == 0:
        sys.exit("no test ran:\n" + said)
    print(f"big-endian: {passed.group(1)} tests pass on s390x, golden images included; "
          f"{built - begin:.0f} s to build, {time.monotonic() - built:.0f} s to run")


if __name__ == "__main__":
    main()
