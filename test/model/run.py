#!/usr/bin/env python3
"""Searches every state of the protocol's models in docs/model/ with spin, and sees that planted faults are found.

usage: run.py [--jobs N] [--only TEXT]
       run.py --whole [--seconds N] [--cursor N]

The first form takes about a minute: small sizes of each model must hold, and each BUG_ switch must be found. The second
searches larger sizes, one after another, until the time is over, and goes on from the cursor the next time; its last
line is that of every long target. A search that hit its limit of depth, memory or time counts as failed: it proves nothing.
Needs spin and gcc; the largest sizes take some 6 GB of memory.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "docs" / "model"
DEPTH = 200_000

# Sizes that must hold, and are searched in seconds: model, switches.
SMALL = [
    ("ashlar", "MAXSEQ=3"),
    ("ashlar", "MAXSEQ=2 MAXC=2"),
    ("ashlar", "MAXSEQ=2 MAXC=2 KILL"),
    ("ashlar", "MAXSEQ=2 MAXC=2 READERR"),
    ("ashlar", "MAXSEQ=2 FAILSYNC"),
    ("ashlar", "MAXSEQ=3 ROTRING"),
    ("ashlar", "MAXSEQ=2 MAXC=2 ROTDATA"),
    ("ashlar", "MAXSEQ=2 RIDE"),
    ("ashlar", "MAXSEQ=2 MAXC=2 PAIR"),
    ("ashlar", "MAXSEQ=3 MOVE"),
    ("ashlar", "MAXSEQ=3 TRIM"),
    ("ashlar", "MAXSEQ=1 MAXC=2 CLOSE"),
    ("ashlar", "MAXSEQ=1 MAXC=2 CLOSE FAILSYNC"),
    ("region", ""),
    ("space", ""),
]

# A fault, the rule that it breaks, and the smallest size that shows it.
PLANTED = [
    ("ashlar", "R1", "BUG_OVERWRITE_IN_PLACE MAXSEQ=3"),
    ("ashlar", "R2", "BUG_HOME_AT_ONCE MAXSEQ=3"),
    ("ashlar", "R2", "BUG_HOME_ACKNOWLEDGED ROTDATA MAXSEQ=3"),
    ("ashlar", "R2", "BUG_HOME_NOT_SYNCED MAXSEQ=2 MAXC=2"),
    ("ashlar", "R2", "BUG_ERASED_LEAVES_TAIL MAXSEQ=3"),
    ("ashlar", "R3", "BUG_REUSE_AT_ONCE MAXSEQ=3"),
    ("ashlar", "R3", "BUG_REUSE_ACKNOWLEDGED MAXSEQ=3"),
    ("ashlar", "R3", "BUG_REUSE_ACKNOWLEDGED PAIR AHEAD=1 MAXSEQ=3"),
    ("ashlar", "R3", "BUG_FREED_METADATA_AS_DATA MAXSEQ=3"),
    ("ashlar", "R3", "BUG_ERASED_GOES_HOME BUG_FREED_METADATA_AS_DATA MAXSEQ=3"),
    ("ashlar", "R3", "BUG_RODE_FREED_AS_DATA RIDE MAXSEQ=3"),
    ("ashlar", "R5", "BUG_FLIP_UNCOMPARED MOVE MAXSEQ=3"),
    ("ashlar", "R12", "BUG_EPOCH_IGNORED MAXSEQ=3 MAXC=2"),
    ("ashlar", "R12", "BUG_EPOCH_MAY_RISE MAXSEQ=3 MAXC=2"),
    ("ashlar", "R12", "BUG_DATA_UNCHECKED MAXSEQ=3"),
    ("ashlar", "R12", "BUG_NO_SEARCH ROTRING MAXSEQ=3"),
    ("ashlar", "R12", "BUG_SEARCH_BELIEVES_ANY MAXSEQ=3"),
    ("ashlar", "R12", "BUG_ANCHOR_DOES_NOT_CLAIM ROTRING MAXSEQ=3"),
    ("ashlar", "R12", "BUG_UNREADABLE_IS_MISSING READERR MAXSEQ=3"),
    ("ashlar", "R12", "BUG_UNREADABLE_ENDS_HISTORY READERR MAXSEQ=3"),
    ("ashlar", "R12", "BUG_OPEN_LEAVES_CLEAN CLOSE ROTRING MAXSEQ=2 MAXC=2"),
    ("ashlar", "R12", "BUG_CLOSED_GOES_ON CLOSE ROTRING MAXSEQ=3"),
    ("ashlar", "R14", "BUG_CLOSED_BEFORE_HOME CLOSE MAXSEQ=2"),
    ("ashlar", "R14", "BUG_TRIM_AT_ONCE TRIM MAXSEQ=3"),
    ("ashlar", "R14", "BUG_RING_FREED_EARLY MAXSEQ=4"),
    ("ashlar", "R14", "BUG_BOTH_ANCHORS_AT_ONCE MAXSEQ=3"),
    ("ashlar", "R14", "BUG_NEWER_ANCHOR_FIRST MAXSEQ=2 MAXC=2"),
    ("ashlar", "R15", "BUG_SYNC_TRIED_AGAIN FAILSYNC MAXSEQ=2"),
    ("ashlar", "recovery", "BUG_NOT_WRITTEN_AGAIN KILL MAXSEQ=2 MAXC=2"),
    ("ashlar", "recovery", "BUG_NOT_WRITTEN_AGAIN FAILSYNC MAXSEQ=2 MAXC=2"),
    ("ashlar", "recovery", "BUG_ANCHOR_NOT_WRITTEN_AGAIN FAILSYNC MAXSEQ=2"),
    ("ashlar", "recovery", "BUG_REPLAY_BEFORE_ANCHOR ROTDATA MAXSEQ=2 MAXC=2"),
    ("ashlar", "recovery", "BUG_REPLAY_SKIPS_NEWER MAXSEQ=3"),
    ("region", "R5", "BUG_FLIP_UNCOMPARED"),
    ("region", "R5", "BUG_COUNTED_AT_BEGIN"),
    ("region", "R5", "BUG_NOTED_AFTER_COPYING"),
    ("region", "R5", "BUG_TRANSFER_UNDER_WAY_IGNORED"),
    ("region", "R5", "BUG_COPY_NOT_SYNCED"),
    ("region", "R5", "BUG_SYNC_BEFORE_FLIP"),
    ("region", "R8", "BUG_NEVER_HELD"),
    ("region", "R14", "BUG_SOURCE_REUSED_EARLY"),
    ("space", "R2", "BUG_BIT_BEFORE_JOIN"),
    ("space", "R2", "BUG_DIRTY_LEAVES"),
    ("space", "R3", "BUG_REUSE_ACKNOWLEDGED"),
    ("space", "R3", "BUG_NODE_FREED_AS_DATA"),
    ("space", "R3", "BUG_WAITING_FORGOTTEN"),
    ("space", "R7", "BUG_NO_RESERVE"),
    ("space", "R7", "BUG_NOT_DRAINED"),
    ("space", "R10", "BUG_COUNT_IN_NEXT_BATCH"),
    ("space", "R10", "BUG_UNWRITTEN_BELIEVED"),
]

# Sizes for hours, one step of the long target each.
WHOLE = [
    ("ashlar", "MAXSEQ=3 MAXC=2"),
    ("ashlar", "MAXSEQ=3 MAXC=2 KILL"),
    ("ashlar", "MAXSEQ=3 MAXC=2 PAIR"),
    ("ashlar", "MAXSEQ=3 READERR"),
    ("ashlar", "MAXSEQ=3 FAILSYNC"),
    ("ashlar", "MAXSEQ=2 MAXC=2 FAILSYNC"),
    ("ashlar", "MAXSEQ=4 ROTRING"),
    ("ashlar", "MAXSEQ=2 MAXC=2 ROTRING"),
    ("ashlar", "MAXSEQ=3 ROTDATA"),
    ("ashlar", "MAXSEQ=3 RIDE"),
    ("ashlar", "MAXSEQ=2 MAXC=2 RIDE"),
    ("ashlar", "MAXSEQ=2 MAXC=2 MOVE"),
    ("ashlar", "MAXSEQ=2 MAXC=2 TRIM"),
    ("ashlar", "MAXSEQ=2 MAXC=2 CLOSE"),
    ("ashlar", "MAXSEQ=2 MAXC=2 CLOSE ROTRING"),
    ("ashlar", "MAXSEQ=2 MAXC=2 CLOSE KILL"),
    ("ashlar", "MAXSEQ=2 MAXC=2 CLOSE READERR"),
    ("ashlar", "MAXSEQ=2 MAXC=2 CLOSE FAILSYNC"),
    ("ashlar", "MAXSEQ=5 R=2"),
    ("region", "WRITES=3"),
    ("region", "ROUNDS=3"),
    ("space", "MAXSEQ=6 MAXC=2"),
]


def search(model, switches, memory=5500, limit=1800, optimise="-O2"):
    """Verdict and number of states: "holds", "fault: ..." or why nothing is known."""
    with tempfile.TemporaryDirectory(prefix="model-") as folder:
        run = lambda *command: subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=limit,
                                              check=False)
        made = run("spin", "-a", *[f"-D{one}" for one in switches.split()], str(MODELS / f"{model}.pml"))
        if made.returncode != 0:
            return f"spin refuses it: {made.stdout}{made.stderr}", 0
        built = run("gcc", optimise, "-w", "-DSAFETY", "-DCOLLAPSE", "-DNOFAIR", f"-DMEMLIM={memory}", "-o", "pan", "pan.c")
        if built.returncode != 0:
            return f"gcc refuses it: {built.stderr}", 0
        try:
            said = run("./pan", f"-m{DEPTH}", "-n").stdout
        except subprocess.TimeoutExpired:
            return f"not finished after {limit} s", 0
    states = re.search(r"([0-9.e+]+) states, stored", said)
    count = int(float(states.group(1))) if states else 0
    if "max search depth too small" in said:
        return "the limit of depth was hit", count
    found = re.search(r"pan:1: (.*) \(at depth", said)
    if found:
        return f"fault: {found.group(1)}", count
    if re.search(r"errors: 0\b", said) and "out of memory" not in said and "Search not completed" not in said:
        return "holds", count
    return "the search broke off: " + " ".join(said.split())[:300], count


def small(jobs, only):
    """Whether all small sizes hold and all planted faults are found."""
    asked = [(model, "", switches) for model, switches in SMALL] + PLANTED
    asked = [one for one in asked if only in " ".join(one)]
    begin = time.monotonic()

    def one(case):
        model, rule, switches = case
        began = time.monotonic()
        verdict, states = search(model, switches, optimise="-O0" if rule else "-O1")
        wanted = verdict.startswith("fault: ") if rule else verdict == "holds"
        return wanted, f"{model}: {switches}: {verdict}, {states:,} states, {time.monotonic() - began:.1f} s", states

    with ThreadPoolExecutor(jobs) as pool:
        answers = list(pool.map(one, asked))
    for (_, rule, _), (wanted, text, _) in zip(asked, answers):
        print(("  " if wanted else "WRONG ") + (f"[{rule}] " if rule else "") + text)
    wrong = sum(not wanted for wanted, _, _ in answers)
    held = sum(states for (_, rule, _), (_, _, states) in zip(asked, answers) if not rule)
    planted = sum(bool(rule) for _, rule, _ in asked)
    print(f"model: {len(asked) - planted} sizes with {held:,} states hold, {planted} planted faults; "
          f"{wrong} answers are wrong; {time.monotonic() - begin:.0f} s")
    return wrong == 0


def whole(seconds, cursor):
    """Whether each size that was searched holds."""
    begin, count, passed = time.monotonic(), 0, True
    while True:
        model, switches = WHOLE[cursor % len(WHOLE)]
        verdict, states = search(model, switches, memory=12000, limit=7200)
        passed = verdict == "holds"
        print(f"{model}: {switches}: {verdict}, {states:,} states", flush=True)
        count += states
        if not passed:
            print(f"FAILED at --cursor {cursor}")
            break
        cursor += 1
        if time.monotonic() - begin >= seconds:
            break
    print(f"LONG cursor={cursor} count={count} seconds={time.monotonic() - begin:.1f}")
    return passed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cursor", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="only cases in whose model, rule or switches this stands")
    asked = parser.parse_args()
    passed = whole(asked.seconds, asked.cursor) if asked.whole else small(asked.jobs, asked.only)
    sys.exit(0 if passed else 1)


if __name__ == "__main__":
    main()
