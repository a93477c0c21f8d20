#!/usr/bin/env python3
"""Plants one fault at a time and asks whether a test notices.

Each NAME.patch beside this file changes include/ and begins with a line that says what must fail. Either a scenario of a
probe, which is a program of this folder with a plain main,

    # probe: crash_probe cut 1 500

or the tests of some test files, separated by spaces,

    # test: test/journal/ring_journal_test.cpp filter: RingJournal.*

The patch is applied to a copy of include/ and the program is built against it. A mutant survives when the program passes;
that is a failure, and so is a patch that no longer applies, a program that does not build, and a filter that runs no
test. Each program is also built and run without a fault, because what fails always would catch every mutant.

All mutants take some minutes. --today N asks of each only that it applies, and runs N of them: the next N each day.
--seconds S --cursor C is the form of a long target: from mutant C on, round and round, until the time is over.

usage: run.py [--compiler g++] [--work FOLDER] [--jobs 2] [--today N | --seconds S --cursor C] [NAME...]
"""
import argparse
import collections
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PROBE = re.compile(r"^# probe: (?P<program>\w+) (?P<words>.+?)\s*$", re.MULTILINE)
TEST = re.compile(r"^# test: (?P<sources>.+?) filter: (?P<filter>\S+)\s*$", re.MULTILINE)
FLAGS = ["-std=c++20", "-w"]
LIBRARIES = ["-lgtest", "-lgtest_main", "-lrapidcheck", "-pthread"]
SECONDS = 120

Plan = collections.namedtuple("Plan", "name sources libraries words")


class Wrong(Exception):
    """Why a mutant counts as not caught: a word for the table, and the rest."""

    def __init__(self, word, rest=""):
        super().__init__(word)
        self.word, self.rest = word, rest


def run(command, **settings):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", check=False, **settings)


def plan_of(patch):
    text = patch.read_text()
    if probe := PROBE.search(text):
        return Plan(probe["program"], [f"test/mutants/{probe['program']}.cpp"], [], probe["words"].split())
    if test := TEST.search(text):
        name = re.sub(r"\W", "_", test["sources"])
        return Plan(name, test["sources"].split(), LIBRARIES, [f"--gtest_filter={test['filter']}", "--gtest_fail_fast"])
    raise Wrong("does not say which test must fail")


def build(options, include, plan, program, level):
    launcher = ["ccache"] if shutil.which("ccache") else []
    objects = []
    for source in plan.sources:
        target = program.with_name(program.name + "_" + pathlib.Path(source).stem + ".o")
        done = run([*launcher, options.compiler, *FLAGS, level, f"-I{include}", "-c", ROOT / source, "-o", target])
        if done.returncode != 0:
            raise Wrong("does not build", "\n".join(done.stderr.splitlines()[:15]))
        objects.append(target)
    done = run([options.compiler, *objects, *plan.libraries, "-o", program])
    if done.returncode != 0:
        raise Wrong("does not link", "\n".join(done.stderr.splitlines()[:15]))


def passes(program, words):
    """Whether it ended well. A crash or a hang counts as failed: the fault was noticed."""
    try:
        done = run([program, *words], cwd=program.parent, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return False, "hangs"
    if "Running 0 tests" in done.stdout or done.returncode == 2:  # a probe that knows no such scenario
        raise Wrong("runs no test")
    said = [line for line in (done.stderr + done.stdout).splitlines() if "FAILED" in line]
    return done.returncode == 0, said[0] if said else f"ended with {done.returncode}"


class WithoutFault:
    """Each program as it is, built once, and each of its scenarios, run once."""

    def __init__(self, options, include, work):
        self.options, self.include, self.work = options, include, work
        self.lock, self.done = threading.Lock(), {}

    def must_pass(self, plan):
        with self.lock:
            program = self.work / ("whole_" + plan.name)
            if plan.name not in self.done:
                build(self.options, self.include, plan, program, "-O1")  # it runs to its end, many times
                self.done[plan.name] = {}
            seen = self.done[plan.name]
            key = tuple(plan.words)
            if key not in seen:
                seen[key] = passes(program, plan.words)
        if not seen[key][0]:
            raise Wrong("fails without the fault", seen[key][1])


def apply(patch, folder, *options):
    # An own folder and a ceiling keep git from looking at the repository around it.
    done = run(["git", "-c", "core.autocrlf=false", "apply", *options, "-p1", patch], cwd=folder,
               env={"GIT_CEILING_DIRECTORIES": str(folder.parent), "PATH": "/usr/local/bin:/usr/bin:/bin"})
    if done.returncode != 0:
        raise Wrong("does not apply", done.stderr)


def catch(options, patch, include, whole, work):
    """What the test said; raises Wrong where it said nothing."""
    plan = plan_of(patch)
    mutant = work / patch.stem
    shutil.copytree(include, mutant / "include")
    apply(patch, mutant)
    whole.must_pass(plan)
    build(options, mutant / "include", plan, mutant / "program", "-O0")  # it runs once, and mostly not for long
    passed, said = passes(mutant / "program", plan.words)
    if passed:
        raise Wrong("SURVIVED")
    return said


def count_for_report(much):
    """Adds to a counter, as test/counts.hpp does."""
    if folder := os.environ.get("ASHLAR_COUNTS"):
        (pathlib.Path(folder) / f"mutants-{os.getpid()}.txt").write_text(f"{much}\tmutants caught\n")


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "mutants")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--today", type=int, metavar="N")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--cursor", type=int, default=0)
    parser.add_argument("names", nargs="*")
    return parser.parse_args()


def rotated(patches, start):
    start %= len(patches)
    return patches[start:] + patches[:start]


def main():
    options = parse_arguments()
    work = options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    include = work / "include"  # as it is now: whoever edits meanwhile does not matter
    shutil.copytree(ROOT / "include", include)

    whole   = WithoutFault(options, include, work)
    patches = [patch for patch in sorted(FOLDER.glob("*.patch")) if not options.names or patch.stem in options.names]
    counts  = collections.Counter()
    begin   = time.monotonic()
    if not patches:
        sys.exit("no mutant has such a name")

    def judge(patch):
        if options.seconds is not None and time.monotonic() - begin > options.seconds:
            return patch, None, ""
        try:
            word, rest = "caught", catch(options, patch, include, whole, work)
        except Wrong as wrong:
            word, rest = wrong.word, wrong.rest
        shutil.rmtree(work / patch.stem, ignore_errors=True)
        return patch, word, rest

    def say(patch, word, rest):
        counts[word] += 1
        print(f"{patch.stem + ':':36} {word}" + (f"  {rest[:160] if word == 'caught' else rest}" if rest else ""), flush=True)

    if options.today:
        for patch in patches:
            try:
                plan_of(patch)
                apply(patch, work, "--check")
            except Wrong as wrong:
                say(patch, wrong.word, wrong.rest)
        print(f"{len(patches)} mutants, {len(patches) - sum(counts.values())} apply")
        patches = rotated(patches, int(time.time() // 86400) * options.today)[:options.today]
    if options.seconds is not None:
        patches = rotated(patches, options.cursor)

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for patch, word, rest in pool.map(judge, patches):
            if word:
                say(patch, word, rest)
    ran = sum(counts.values())
    print(f"{ran} mutants: " + ", ".join(f"{count} {word}" for word, count in sorted(counts.items())))
    count_for_report(counts["caught"])
    if options.seconds is not None:
        cursor = options.cursor + (ran if counts["caught"] == ran else 0)
        print(f"LONG cursor={cursor} count={counts['caught']} seconds={time.monotonic() - begin:.1f}")
    sys.exit(0 if counts["caught"] == ran > 0 else 1)


if __name__ == "__main__":
    main()
