#!/usr/bin/env python3
"""Writes RELIABILITY.md from what the tests counted: nothing in its tables is typed by hand.

usage: reliability.py [--counts FOLDER] [--minutes N] [--progress FILE] [--coverage FILE] [--out FILE] [--partial]

--counts     folder that ASHLAR_COUNTS named while the ordinary tests ran: files with lines "count TAB name"
--minutes    how long that run took
--progress   sums of the long targets, by test/long/run.py (test/long/progress.json)
--coverage   what test/coverage/run.py wrote (build/coverage/summary.json)

Where one of them is missing nothing is written; with --partial the page says that it was not measured.
"""
import argparse
import collections
import json
import pathlib
import subprocess
import sys

TESTS = pathlib.Path(__file__).resolve().parent
ROOT = TESTS.parent
GOALS = {"crash states": 10_000_000, "seeds": 1_000_000}
NOT_MEASURED = "Not measured for this commit.\n"

FAULTS = """\
A disk is believed to keep a sector of 512 bytes whole, and what a sync covered. Nothing else is:

- a write that is cut leaves any of its sectors, and between two syncs each write arrives or does not, in any order;
- what was trimmed holds its old bytes, zeros, or anything;
- a sync may fail, and then nobody knows what arrived since the last good one - also where the device goes on showing it;
- blocks rot, writes get lost or land elsewhere, reads return what was there before;
- any read, write, sync or trim fails, once or for good, and so does getting memory;
- power fails at any moment, in recovery too, and a process is killed at any moment;
- an image may have been made to do harm.

[docs/recovery.md](docs/recovery.md) says what holds then and names the test of each point; [docs/testing.md](docs/testing.md)
shows how to put the same questions to parts of your own.
"""

GAPS = """\
- Power is cut on devices in memory that behave as above. No machine was switched off, and no disk was asked whether it
  keeps the two promises.
- A killed process leaves the system's caches as they were, so the kills below ask about locks, rings and threads, not about
  power.
- Memory errors and two writers on one volume are not noticed.
- An acknowledged batch that nothing has confirmed yet looks like a torn one when it rots; an idle store confirms.
- A second cut while recovery writes such a batch again may lose it, on a device whose torn sectors turn into garbage.
- The models are searched wholly, but they are small: three or four blocks, two to six batches. They prove the protocol, not
  the code.
- Seeded schedules let threads meet where the engine gives up its lock. Data races are the thread sanitizer's, which does
  not see what the kernel writes for io_uring.
- The other byte order runs in an emulator; for Windows the portable part compiles and links, and is not run.
- Coverage says what ran, not what was asked. The mutants ask that, of the faults that somebody thought of.
"""


def number(much):
    return f"{much:,}"


def commit():
    def git(*words):
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, stdin=subprocess.DEVNULL,
                              check=False).stdout.strip()

    dirty = git("status", "--porcelain", "--untracked-files=no", "--", "include", "test")
    return (git("rev-parse", "--short=12", "HEAD") or "unknown") + (" with changes that are not committed" if dirty else "")


def counted(folder):
    """Sums of all counters."""
    sums = collections.Counter()
    for file in sorted(folder.glob("*.txt")):
        for line in file.read_text().splitlines():
            much, name = line.split("\t", 1)
            sums[name] += int(much)
    return sums


def ordinary_part(folder, minutes):
    sums = counted(folder)
    if not sums:
        raise SystemExit(f"{folder} holds no counts: run the tests with ASHLAR_COUNTS naming it")
    text = "`./run test` did this" + (f" within its {minutes:.0f} minutes" if minutes else "") + ":\n\n| what | how many |\n|---|--:|\n"
    return text + "".join(f"| {name} | {number(much)} |\n" for name, much in sorted(sums.items()))


def long_part(file):
    targets = json.loads(file.read_text())["targets"]
    text = ("`./run test --long` goes on where it stopped the last time; these are sums over all its runs, the newest of which\n"
            "was of the commit named.\n\n| target | counted | minutes | commit | last run |\n|---|--:|--:|---|---|\n")
    units = collections.Counter()
    for name, one in sorted(targets.items()):
        units[one["unit"]] += one["count"]
        text += (f"| {name} | {number(one['count'])} {one['unit']} | {one['seconds'] / 60:.0f} | {one['commit']} | "
                 f"{'passed' if one.get('passed', True) else 'FAILED'} |\n")
    text += "\n"
    for unit, goal in GOALS.items():
        text += f"Of {number(goal)} {unit}, {number(units[unit])} are done ({100 * units[unit] / goal:.1f} %).\n"
    return text


def coverage_part(file):
    rows = json.loads(file.read_text())
    text = ("gcc's counters, without the long targets and with a tenth of the crash states and seeds; a branch of a template\n"
            "counts once; branches of exceptions, assertions and comparisons that the compiler writes are left out. Rows that begin with = are where data is lost if something is wrong.\n\n"
            "| part of include/ashlar | lines | branches |\n|---|--:|--:|\n")
    for name in sorted(rows, key=lambda one: (one == "all", one.startswith("="), one)):
        text += f"| {name} | {rows[name]['lines']:.1f} % | {rows[name]['branches']:.1f} % |\n"
    return text


def mutants_part(file):
    patches = len(list((TESTS / "mutants").glob("*.patch")))
    text = f"{patches} patches break one rule or check each; a test must fail for every one of them. "
    done = json.loads(file.read_text())["targets"].get("mutants") if file.exists() else None
    if not done:
        return text + "The long target has not run them yet.\n"
    caught = min(done["cursor"], patches)
    return text + (f"The long target, which takes them in turn and stops at a survivor, has caught {caught} of them"
                   f"{'' if done.get('passed', True) else ', and its last run FAILED'} (commit {done['commit']}).\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=pathlib.Path, default=ROOT / "build" / "counts")
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--progress", type=pathlib.Path, default=TESTS / "long" / "progress.json")
    parser.add_argument("--coverage", type=pathlib.Path, default=ROOT / "build" / "coverage" / "summary.json")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "RELIABILITY.md")
    parser.add_argument("--partial", action="store_true")
    asked = parser.parse_args()
    missing = [str(path) for path in (asked.counts, asked.progress, asked.coverage) if not path.exists()]
    if missing and not asked.partial:
        sys.exit(f"not measured yet: {', '.join(missing)}")

    def part(path, write):
        return write() if path.exists() else NOT_MEASURED

    sections = [
        ("What is reckoned with", FAULTS),
        ("Ordinary tests", part(asked.counts, lambda: ordinary_part(asked.counts, asked.minutes))),
        ("Long targets", part(asked.progress, lambda: long_part(asked.progress))),
        ("Coverage", part(asked.coverage, lambda: coverage_part(asked.coverage))),
        ("Planted faults", mutants_part(asked.progress)),
        ("Known gaps", GAPS),
    ]
    text = (f"# Reliability\n\nWhat was done to prove ashlar wrong. Written by `test/reliability.py` from the tests' own counters, at commit "
            f"{commit()}.\n")
    for title, body in sections:
        text += f"\n## {title}\n\n{body}"
    asked.out.write_text(text)
    print(f"{asked.out} is written")


if __name__ == "__main__":
    main()
