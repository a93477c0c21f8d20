#!/usr/bin/env python3
"""Which lines and branches of include/ashlar the tests reach: a table for each folder, and floors that may not be passed below.

usage: run.py [--work FOLDER] [--jobs N] [--only REGEX] [--report] [--raise] [--uncovered FOLDER]

Builds the test programs without optimisation and with gcc's counters, runs each with a tenth of its crash states and seeds, and
lets gcovr add up what was reached. Branches that only an exception takes do not count, and neither do assertions: they are
compiled out. Fails where a row of the table is below its floor in floors.json; --raise lifts the floors to what was reached, up
to the goals. Writes summary.json into the work folder. --report takes the counters that lie there, and builds and runs nothing.
"""
import argparse
import concurrent.futures
import json
import math
import os
import pathlib
import shutil
import subprocess
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
FLOORS = FOLDER / "floors.json"
# The other folders reach little that these do not, for the time that they take.
PROGRAMS = ("^(allocator|channel|checksum|defrag_policy|device|faults|format|hosted|journal|maintenance|object|relocation|store|"
            "throttle|vocabulary|volume)/")
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
    programs = sorted(path for path in (work / "test").glob("test_*") if path.is_file() and os.access(path, os.X_OK))
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


def measure(work, jobs):
    """Summary of each file, and each line."""
    summary, lines = work / "files.json", work / "lines.json"
    done = run("gcovr", "-j", jobs, "--root", ROOT, "--object-directory", work, "--filter", "include/ashlar/",
               "--exclude-throw-branches", "--exclude-unreachable-branches", "--json-summary", summary, "--json", lines,
               "--gcov-ignore-parse-errors", work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        sys.exit(f"gcovr failed:\n{done.stdout[-3000:]}")
    return json.loads(summary.read_text())["files"], json.loads(lines.read_text())["files"]


def name_in_library(file):
    return file.split("include/ashlar/", 1)[1]


def rows_of(files):
    """Row: lines and branches, covered and all."""
    rows = {}
    for file in files:
        path = name_in_library(file.get("filename", file.get("file")))
        names = ["all", path.split("/")[0] + "/" if "/" in path else "(facades)"]
        names += [f"= {name}" for name, belongs in IMPORTANT.items() if belongs(path)]
        for name in names:
            row = rows.setdefault(name, {"lines": [0, 0], "branches": [0, 0]})
            for kind, word in (("lines", "line"), ("branches", "branch")):
                row[kind][0] += file[f"{word}_covered"]
                row[kind][1] += file[f"{word}_total"]
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


def print_uncovered(lines, which):
    for file in lines:
        path = name_in_library(file["file"])
        if not path.startswith(which):
            continue
        missed = [str(line["line_number"]) for line in file["lines"] if line["count"] == 0 and not line["gcovr/noncode"]]
        halves = [str(line["line_number"]) for line in file["lines"] if line["count"] > 0 and
                  any(branch["count"] == 0 and not branch["throw"] for branch in line["branches"])]
        if missed or halves:
            print(f"{path}: lines {' '.join(missed) or 'all'}; branches in {' '.join(halves) or 'none'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "coverage")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default=PROGRAMS)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--raise", dest="lift", action="store_true")
    parser.add_argument("--uncovered", default=None)
    asked = parser.parse_args()
    if shutil.which("gcovr") is None:
        sys.exit("no gcovr was found (Debian: gcovr)")
    asked.work.mkdir(parents=True, exist_ok=True)
    begin, passed = time.monotonic(), True
    if not asked.report:
        if not build(asked.work, asked.jobs, asked.only):
            sys.exit("the build failed")
        built = time.monotonic()
        print(f"built in {built - begin:.0f} s")
        passed = run_tests(asked.work, asked.jobs)
    files, lines = measure(asked.work, asked.jobs)
    rows = rows_of(files)
    floors = json.loads(FLOORS.read_text()) if FLOORS.exists() else {}
    above = print_table(rows, floors)
    if asked.lift:
        FLOORS.write_text(json.dumps(raised(rows, floors), indent=4) + "\n")
    if asked.uncovered is not None:
        print_uncovered(lines, asked.uncovered)
    (asked.work / "summary.json").write_text(json.dumps(
        {name: {kind: round(percent(row[kind]), 1) for kind in row} for name, row in rows.items()}, indent=4) + "\n")
    print(f"coverage: {percent(rows['all']['lines']):.1f} % of lines, {percent(rows['all']['branches']):.1f} % of branches; "
          f"{time.monotonic() - begin:.0f} s")
    sys.exit(0 if passed and above else 1)


if __name__ == "__main__":
    main()
