#!/usr/bin/env python3
"""Counts the instructions of read, write, commit, allocate and move, and compares them with counts.json.

Only what the program itself executes inside of `measured` is counted: the C library is not, as it chooses its memcpy
by the processor. Counts depend on the compiler, so they are compared where the compiler is the one that made
counts.json, and printed otherwise.

  run.py            fails where an operation takes over 5 % more or fewer instructions than stored
  run.py --update   stores what it counts
"""

import argparse
import json
import pathlib
import platform
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
OPERATIONS = ["read", "write", "commit", "allocate", "move"]
FLAGS = ["-std=c++20", "-O2", "-g1", "-DNDEBUG", "-DASHLAR_NO_ASSERT"]
WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]
TOLERANCE = 0.05


def build(compiler, folder):
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "counted"
    subprocess.run([compiler, *FLAGS, *WARNINGS, f"-I{ROOT / 'include'}", str(HERE / "counted.cpp"), "-o", str(program)],
                   check=True)
    return program


def own_instructions(profile, program):
    """Sum of the self cost of all functions of the program in a callgrind profile."""
    objects, current, total, of_a_call = {}, None, 0, False
    for line in profile.read_text().splitlines():
        if line.startswith("ob="):
            number, _, name = line[3:].partition(" ")
            if name:
                objects[number] = name
            current = objects[number]
        elif line.startswith("cob="):  # an object that is called, named here for the first time
            number, _, name = line[4:].partition(" ")
            if name:
                objects[number] = name
        elif line.startswith("calls="):
            of_a_call = True  # the next line is what the call cost, which the callee's own lines say already
        elif line and (line[0].isdigit() or line[0] in "+-*"):
            if not of_a_call and current == str(program):
                total += int(line.split()[1])
            of_a_call = False
    return total


def count(program, operation, folder):
    profile = folder / f"callgrind.{operation}"
    done = subprocess.run(["valgrind", "--tool=callgrind", "--toggle-collect=*measured*",
                           f"--callgrind-out-file={profile}", str(program), operation],
                          capture_output=True, text=True, check=False, timeout=600)
    if done.returncode != 0:
        raise SystemExit(f"counted {operation} failed:\n{done.stdout}{done.stderr}")
    return round(own_instructions(profile, program) / int(done.stdout))


def identity(compiler):
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=True).stdout
    return {"compiler": version.splitlines()[0], "machine": platform.machine(), "flags": " ".join(FLAGS)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--update", action="store_true", help="store what is counted in counts.json")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build/instructions")
    options = parser.parse_args()
    if shutil.which("valgrind") is None:
        print("skipped: instructions are counted with valgrind, which is not installed")
        return 0

    store = HERE / "counts.json"
    stored = json.loads(store.read_text()) if store.exists() else {}
    here = identity(options.compiler)
    program = build(options.compiler, options.work.resolve())
    comparable = all(stored.get(key) == value for key, value in here.items())
    counts, failed = {}, False
    for operation in OPERATIONS:
        counts[operation] = count(program, operation, options.work.resolve())
        before = stored.get("instructions", {}).get(operation)
        change = f", stored {before:,}: {counts[operation] / before - 1:+.1%}" if before else ""
        worse = bool(comparable and not options.update and
                     (before is None or abs(counts[operation] / before - 1) > TOLERANCE))
        failed |= worse
        print(f"{operation}: {counts[operation]:,} instructions{change}{'  FAILED' if worse else ''}", flush=True)

    if options.update:
        store.write_text(json.dumps({**here, "instructions": counts}, indent=4) + "\n")
        print(f"stored in {store.relative_to(ROOT)}")
    elif not stored:
        print("nothing is stored yet: run it with --update")
    elif not comparable:
        print(f"not compared: counts.json is of {stored.get('compiler')}, {stored.get('machine')}; this is {here['compiler']}")
    elif failed:
        print("more than 5 % away: find out why; where the change is meant, run.py --update stores it")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
