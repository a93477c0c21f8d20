#!/usr/bin/env python3
"""Which lines and branches of include/ashlar the tests reach: a table for each folder, and floors that may not be passed below.

usage: run.py [--work FOLDER] [--jobs N] [--only REGEX] [--report] [--raise] [--uncovered FOLDER]

Builds the test programs without optimisation and with gcc's counters, runs each with a tenth of its crash states and seeds, and
adds up what gcov says, as gcovr does: a branch of a template counts once, and is reached where one of its instantiations reached it.
Branches that only an exception takes do not count, nor those on lines without words, nor those of comparisons that the compiler
writes, nor assertions, which are compiled out. Fails where a row of the table is below its floor in floors.json; --raise lifts the floors to what was reached, up
to the goals. Writes summary.json into the work folder. --report takes the counters that lie there, and builds and runs nothing.
"""
import argparse
import collections
import concurrent.futures
import json
import math
import os
import pathlib
import subprocess
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
FLOORS = FOLDER / "floors.json"
# The other folders reach little that these do not, for the time that they take.
PROGRAMS = ("^(allocator|channel|checksum|copy|corruption|defrag_policy|device|evacuate|faults|format|hosted|indirection|journal|maintenance|"
            "object|records|region|relocation|resize|simulate|store|testing|throttle|vocabulary|volume)/")
GOAL = {"lines": 95, "branches": 90}
GOAL_WHERE_DATA_IS_LOST = {"lines": 100, "branches": 95}
IMPORTANT = {  # Row: what belongs to it.
    "journal": lambda path: path.startswith("journal/"),
    "recovery": lambda path: path == "volume/recovery.hpp",
    "relocation": lambda path: path.startswith("relocation/"),
    "decoders": lambda path: path.startswith("format/"),
}


def run(*command, **options):
    return subprocess.run([str(part) for part in command], cwd=ROOT, stdin=subprocess.DEVNULL, check=False, **options)


def build(work, jobs, only):
    configured = run("cmake", "--preset", "coverage", "-B", work, f"-DASHLAR_TEST_ONLY={only}", stdout=subprocess.DEVNULL)
    return configured.returncode == 0 and run("cmake", "--build", work, "-j", jobs).returncode == 0


def run_tests(work, jobs):
    """Whether every program passed."""
    for old in work.rglob("*.gcda"):
        old.unlink()
    # The mutants' probes live through what the tests ask too, and take long without optimisation.
    programs = sorted(path for path in (work / "test").glob("test_*")
                      if path.is_file() and os.access(path, os.X_OK) and not path.name.endswith("probe"))
    environment = dict(os.environ, ASHLAR_TEST_SCALE="0.1")

    def one(program):
        began = time.monotonic()
        done = run(program, "--gtest_brief=1", env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return program.name, done.returncode, done.stdout, time.monotonic() - began

    passed = True
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for name, code, said, seconds in pool.map(one, programs):
            print(f"{name}: {'passes' if code == 0 else 'FAILED'}, {seconds:.0f} s", flush=True)
            if code != 0:
                passed = False
                print("\n".join(said.splitlines()[-30:]))
    return passed and bool(programs)


def read_counters(counters):
    """What gcov says of include/ashlar in one object: file, line, how often it ran, and how often each of its branches was taken."""
    done = run("gcov", "--json-format", "--stdout", "--branch-probabilities", counters, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"gcov failed on {counters}: {done.stderr.decode()[-1000:]}")
    found = []
    for file in json.loads(done.stdout)["files"]:
        if "include/ashlar/" not in file["file"]:
            continue
        name = file["file"].split("include/ashlar/", 1)[1]
        starts = collections.Counter(function["start_line"] for function in file["functions"])
        for line in file["lines"]:
            branches = [branch["count"] for branch in line["branches"] if not branch["throw"]]
            for one in instantiations(line, branches, starts):
                found.append((name, line["line_number"], line["count"], one))
    return found


def instantiations(line, branches, starts):
    """The branches of each. Of a lambda in a template gcov strings those of all instantiations in a row."""
    if "function_name" in line or not branches:
        return [branches]
    count = starts[max((start for start in starts if start <= line["line_number"]), default=0)]
    if count < 2 or len(branches) % count != 0:
        return [branches]
    width = len(branches) // count
    return [branches[i:i + width] for i in range(0, len(branches), width)]


def measure(work, jobs):
    """File: line: whether it ran, and of each of its branches whether it was taken."""
    files, texts = {}, {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for found in pool.map(read_counters, sorted(work.rglob("*.gcda"))):
            for name, number, count, branches in found:
                if name not in texts:
                    texts[name] = (ROOT / "include" / "ashlar" / name).read_text().splitlines()
                text = texts[name][number - 1] if number <= len(texts[name]) else ""
                if "__builtin_trap" in text or "__builtin_unreachable" in text:
                    continue
                line = files.setdefault(name, {}).setdefault(number, {"ran": False, "branches": []})
                line["ran"] = line["ran"] or count > 0
                if not any(letter.isalpha() for letter in text) or "= default;" in text:
                    continue
                # Instantiations are laid over each other by the number of the branch, as gcovr does.
                known = line["branches"]
                known += [False] * (len(branches) - len(known))
                for i, taken in enumerate(branches):
                    known[i] = known[i] or taken > 0
    if not files:
        sys.exit("there are no counters: did the tests run?")
    return files


def rows_of(files):
    """Row: lines and branches, covered and all."""
    rows = {}
    for path, lines in files.items():
        names = ["all", path.split("/")[0] + "/" if "/" in path else "(facades)"]
        names += [f"= {name}" for name, belongs in IMPORTANT.items() if belongs(path)]
        taken = [one for line in lines.values() for one in line["branches"]]
        for name in names:
            row = rows.setdefault(name, {"lines": [0, 0], "branches": [0, 0]})
            row["lines"][0] += sum(line["ran"] for line in lines.values())
            row["lines"][1] += len(lines)
            row["branches"][0] += sum(taken)
            row["branches"][1] += len(taken)
    return rows


def percent(pair):
    return 100.0 * pair[0] / pair[1] if pair[1] else 100.0


def print_table(rows, floors):
    """Whether no row is below its floor."""
    passed = True
    print(f"{'':<18}{'lines':>14}{'%':>8}{'branches':>16}{'%':>8}  floor")
    order = sorted(rows, key=lambda name: (name == "all", name.startswith("="), name))
    for name in order:
        row, floor = rows[name], floors.get(name)
        text = f"{name:<18}"
        for kind, width in (("lines", 14), ("branches", 16)):
            text += f"{row[kind][0]}/{row[kind][1]}".rjust(width) + f"{percent(row[kind]):8.1f}"
        if floor:
            low = [kind for kind in floor if percent(row[kind]) < floor[kind]]
            text += f"  {floor['lines']} {floor['branches']}" + (f"  BELOW in {', '.join(low)}" if low else "")
            passed = passed and not low
        print(text)
    return passed


def raised(rows, floors):
    made = {}
    for name in ["all"] + [f"= {one}" for one in IMPORTANT]:
        goal = GOAL if name == "all" else GOAL_WHERE_DATA_IS_LOST
        made[name] = {kind: max(floors.get(name, {}).get(kind, 0), min(goal[kind], math.floor(percent(rows[name][kind]))))
                      for kind in goal}
    return made


def print_uncovered(files, which):
    for path, lines in sorted(files.items()):
        if not path.startswith(which):
            continue
        missed = [str(number) for number, line in sorted(lines.items()) if not line["ran"]]
        halves = [str(number) for number, line in sorted(lines.items()) if line["ran"] and not all(line["branches"])]
        if missed or halves:
            print(f"{path}: lines {' '.join(missed) or 'none'}; branches in {' '.join(halves) or 'none'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "coverage")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default=PROGRAMS)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--raise", dest="lift", action="store_true")
    parser.add_argument("--uncovered", default=None)
    asked = parser.parse_args()
    asked.work.mkdir(parents=True, exist_ok=True)
    begin, passed = time.monotonic(), True
    if not asked.report:
        if not build(asked.work, asked.jobs, asked.only):
            sys.exit("the build failed")
        built = time.monotonic()
        print(f"built in {built - begin:.0f} s")
        passed = run_tests(asked.work, asked.jobs)
    files = measure(asked.work, asked.jobs)
    rows = rows_of(files)
    floors = json.loads(FLOORS.read_text()) if FLOORS.exists() else {}
    above = print_table(rows, floors)
    if asked.lift:
        FLOORS.write_text(json.dumps(raised(rows, floors), indent=4) + "\n")
    if asked.uncovered is not None:
        print_uncovered(files, asked.uncovered)
    (asked.work / "summary.json").write_text(json.dumps(
        {name: {kind: round(percent(row[kind]), 1) for kind in row} for name, row in rows.items()}, indent=4) + "\n")
    print(f"coverage: {percent(rows['all']['lines']):.1f} % of lines, {percent(rows['all']['branches']):.1f} % of branches; "
          f"{time.monotonic() - begin:.0f} s")
    sys.exit(0 if passed and above else 1)


if __name__ == "__main__":
    main()
