#!/usr/bin/env python3
"""Shares some minutes among the long targets; each goes on from where it stopped the last time.

A target is a program NAME_long.cpp (built as test_long_NAME) or a script NAME_long.py beside this file, or one of the
commands below. Each takes --seconds N and --cursor C, and says at its end where it came to:

    LONG cursor=18 count=52310 seconds=60.2

Cursors and sums of all runs are kept in progress.json beside this file, together with the commit of the last run. A
target that fails keeps its cursor, so that the next run begins with what failed.

usage: run.py [--minutes 60] [--jobs 2] [--programs FOLDER] [NAME...]
"""
import argparse
import collections
import concurrent.futures
import json
import pathlib
import re
import subprocess
import sys
import threading
import time

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
PROGRESS = FOLDER / "progress.json"
LONG = re.compile(r"^LONG cursor=(?P<cursor>\d+) count=(?P<count>\d+) seconds=(?P<seconds>[\d.]+)$", re.MULTILINE)
GRACE = 900  # Seconds that a step may still take when the time is over.

Target = collections.namedtuple("Target", "name unit command")


def targets(programs):
    """What a name counts, and how it is called."""
    python = sys.executable
    return [
        Target("crash_states", "crash states", [programs / "test_long_crash_states"]),
        Target("sequences", "crash states", [programs / "test_long_sequences"]),
        Target("simulate", "seeds", [programs / "test_long_simulate"]),
        Target("kill", "kills", [python, FOLDER / "kill_long.py", "--programs", programs]),
        Target("fuzz", "executions", [python, ROOT / "test/fuzz/run.py"]),
        Target("model", "states of the model", [python, ROOT / "test/model/run.py", "--whole"]),
        Target("mutants", "mutants caught", [python, ROOT / "test/mutants/run.py", "--jobs", "1"]),
    ]


def commit():
    said = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], cwd=ROOT, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    return said.stdout.strip() or "unknown"


class Progress:
    """progress.json, written after each target."""

    def __init__(self):
        self.lock, self.commit = threading.Lock(), commit()
        self.known = json.loads(PROGRESS.read_text()) if PROGRESS.exists() else {"targets": {}}

    def cursor(self, name):
        return self.known["targets"].get(name, {}).get("cursor", 0)

    def add(self, target, said, passed):
        with self.lock:
            old = self.known["targets"].get(target.name, {})
            self.known["targets"][target.name] = {
                "unit": target.unit,
                "cursor": int(said["cursor"]),
                "count": old.get("count", 0) + int(said["count"]),
                "seconds": round(old.get("seconds", 0) + float(said["seconds"]), 1),
                "commit": self.commit,
                "passed": passed,
            }
            PROGRESS.write_text(json.dumps(self.known, indent=4, sort_keys=True) + "\n")


def run(target, seconds, progress, logs):
    """Answers whether it passed, and one line for the table."""
    log = logs / f"{target.name}.log"
    command = [*map(str, target.command), "--seconds", str(int(seconds)), "--cursor", str(progress.cursor(target.name))]
    with log.open("w") as out:
        try:
            ended = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
                                   timeout=seconds + GRACE, check=False).returncode
        except subprocess.TimeoutExpired:
            ended = "no end"
        except OSError as why:
            out.write(str(why))
            ended = "no start"
    text = log.read_text(errors="replace")
    said = LONG.search(text)
    passed = ended == 0 and said is not None
    if said:
        progress.add(target, said, passed)
        line = f"{said['count']} {target.unit} in {float(said['seconds']) / 60:.1f} minutes, next cursor {said['cursor']}"
    else:
        line = f"ended with {ended}"
    if not passed:
        line += f"\n    FAILED; {log.relative_to(ROOT)} ends with:\n" + "\n".join(
            "    | " + one for one in text.splitlines()[-15:])
    return passed, f"{target.name + ':':14} {line}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--programs", type=pathlib.Path, default=ROOT / "build/long/test")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    chosen = [one for one in targets(options.programs.resolve()) if not options.names or one.name in options.names]
    if not chosen:
        parser.error("no target has such a name")
    logs = ROOT / "build/long/logs"
    logs.mkdir(parents=True, exist_ok=True)
    share = options.minutes * 60 * options.jobs / len(chosen)
    print(f"{len(chosen)} targets, {share / 60:.1f} minutes each, {options.jobs} at a time", flush=True)
    progress, failed, begin = Progress(), [], time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for target, (passed, line) in zip(chosen, pool.map(lambda one: run(one, share, progress, logs), chosen)):
            print(line, flush=True)
            if not passed:
                failed.append(target.name)
    print(f"{(time.monotonic() - begin) / 60:.1f} minutes; " + (f"FAILED: {', '.join(failed)}" if failed else "all passed"))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
