#!/usr/bin/env python3
"""Plants one fault at a time and asks whether the tests notice.

Each NAME.patch beside this file changes include/ in one place and begins with a line that says which test must fail:

    # test: test/journal/ring_journal_test.cpp filter: RingJournal.*

Several test files are separated by spaces. The patch is applied to a copy of include/, the tests are built against it, and
a mutant survives when they pass; that is a failure, and so is a patch that no longer applies, a program that does not
build, and a filter that runs no test. First each program is built and run without a fault, because a test that fails
always would kill every mutant.

usage: run.py [--compiler g++] [--work FOLDER] [NAME...]
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
HEAD = re.compile(r"^# test: (?P<sources>.+?) filter: (?P<filter>\S+)\s*$", re.MULTILINE)
FLAGS = ["-std=c++20", "-O1", "-w"]
LIBRARIES = ["-lgtest", "-lgtest_main", "-lrapidcheck", "-pthread"]
SECONDS = 120


def run(command, **settings):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          **settings)


def build(options, include, sources, program):
    launcher = ["ccache"] if shutil.which("ccache") else []
    objects = []
    for source in sources:
        target = program.with_name(program.name + "_" + pathlib.Path(source).stem + ".o")
        done = run([*launcher, options.compiler, *FLAGS, f"-I{include}", "-c", ROOT / source, "-o", target])
        if done.returncode != 0:
            return "does not build:\n" + "\n".join(done.stderr.splitlines()[:15])
        objects.append(target)
    done = run([options.compiler, *objects, *LIBRARIES, "-o", program])
    return None if done.returncode == 0 else "does not link:\n" + "\n".join(done.stderr.splitlines()[:15])


def run_tests(program, chosen):
    """'passed', 'failed' or 'nothing ran'. A crash or a hang counts as failed: the fault was noticed."""
    try:
        done = run([program, f"--gtest_filter={chosen}", "--gtest_fail_fast"], cwd=program.parent, timeout=SECONDS)
    except subprocess.TimeoutExpired:
        return "failed"
    if re.search(r"Running 0 tests", done.stdout):
        return "nothing ran"
    return "passed" if done.returncode == 0 else "failed"


def try_mutant(options, patch, work):
    """What is wrong with this mutant; None when the tests killed it."""
    head = HEAD.search(patch.read_text())
    if not head:
        return "has no line '# test: SOURCE filter: FILTER'"
    sources, chosen = head["sources"].split(), head["filter"]

    whole = work / ("whole_" + re.sub(r"\W", "_", head["sources"]))
    problem = None if whole.exists() else build(options, ROOT / "include", sources, whole)
    if problem:
        return "without the fault: " + problem
    if (answer := run_tests(whole, chosen)) != "passed":
        return f"without the fault: {answer}"

    mutant = work / patch.stem
    shutil.rmtree(mutant, ignore_errors=True)
    shutil.copytree(ROOT / "include", mutant / "include")
    # --unsafe-paths and an own folder keep git from looking at the repository around it.
    done = run(["git", "-c", "core.autocrlf=false", "apply", "-p1", patch], cwd=mutant,
               env={"GIT_CEILING_DIRECTORIES": str(mutant.parent), "PATH": "/usr/local/bin:/usr/bin:/bin"})
    if done.returncode != 0:
        return "does not apply:\n" + done.stderr
    problem = build(options, mutant / "include", sources, mutant / "program")
    if problem:
        return problem
    answer = run_tests(mutant / "program", chosen)
    return None if answer == "failed" else f"survives: {answer}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "mutants")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    work = options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)

    patches = [patch for patch in sorted(FOLDER.glob("*.patch")) if not options.names or patch.stem in options.names]
    failed = 0
    for patch in patches:
        problem = try_mutant(options, patch, work)
        print(f"{'FAILED' if problem else 'killed':6} {patch.stem}" + (f": {problem}" if problem else ""), flush=True)
        failed += problem is not None
    print(f"{len(patches)} mutants, {failed} not killed")
    sys.exit(1 if failed or not patches else 0)


if __name__ == "__main__":
    main()
