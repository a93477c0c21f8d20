#!/usr/bin/env python3
"""Kills a process that writes from three threads and defragments, at a random moment, and checks what is left, again and again.

usage: kill_long.py [--seconds N] [--cursor N] [--programs FOLDER] [--writer PROGRAM]

The volume lies on a file, on a loop device, and on a file that is written through io_uring, in turn; the log of what was
begun and what was acknowledged lies outside of it. A loop device needs root, and io_uring a kernel that allows it: a place that
is not to be had is named and left out. kill_writer.cpp says what is compared. Its program is taken from --writer, else from
FOLDER/kill_writer, else compiled into build/long. Each step of the cursor is one new volume and twelve kills.
"""
import argparse
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
KILLS = 12
VOLUME_BYTES = 12 << 20


class Failed(Exception):
    pass


class Missing(Exception):
    """A place that this machine does not have."""


def run(*command, limit=300):
    return subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, timeout=limit, check=False)


def writer_program(options):
    for program in (options.writer, options.programs / "kill_writer" if options.programs else None):
        if program is not None and program.exists():
            return program
    made = ROOT / "build" / "long" / "kill_writer"
    source = FOLDER / "kill_writer.cpp"
    made.parent.mkdir(parents=True, exist_ok=True)
    compiler = (["ccache"] if shutil.which("ccache") else []) + ["g++"]
    built = run(*compiler, "-std=c++20", "-O2", f"-I{ROOT / 'include'}", "-c", source, "-o", f"{made}.o", limit=900)
    if built.returncode == 0:
        built = run("g++", f"{made}.o", "-o", made, "-pthread")
    if built.returncode != 0:
        sys.exit(f"kill_writer.cpp does not compile:\n{built.stdout[-3000:]}")
    return made


class Loop:
    """A loop device over a file, detached whatever happens."""

    def __init__(self, file):
        if os.geteuid() != 0 or shutil.which("losetup") is None:
            raise Missing("a loop device needs root and losetup")
        said = run("losetup", "--find", "--show", file)
        if said.returncode != 0:
            raise Missing(f"there is no loop device to be had: {said.stdout.strip()}")
        self.path = said.stdout.strip()

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        for _ in range(50):
            if run("losetup", "--detach", self.path).returncode == 0:
                return
            time.sleep(0.1)
        print(f"{self.path} could not be detached", flush=True)


def life(program, device, volume, log, seed, seconds, doubted):
    """One life and its end. Answers the words of the check: acknowledged, moved, lost, clean."""
    log.unlink(missing_ok=True)
    with subprocess.Popen([program, device, "work", volume, log, str(seed)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            time.sleep(seconds)
        finally:
            process.kill()
        said = process.communicate()[0]
        if process.returncode == 3:
            raise Missing(said.strip())
        if process.returncode != -signal.SIGKILL:
            raise Failed(f"it ended by itself with {process.returncode}: {said}")
    # A check that knows of other changes must find the volume wrong, or it finds nothing.
    if doubted and run(program, device, "check", volume, log, seed + 1_000_000).returncode == 0 and "\na " in log.read_text():
        raise Failed("the check does not notice what the volume holds")
    checked = run(program, device, "check", volume, log, seed)
    if checked.returncode == 3:
        raise Missing(checked.stdout.strip())
    if checked.returncode != 0:
        raise Failed(f"after the kill: {checked.stdout}")
    words = checked.stdout.split()
    return {words[i]: int(words[i + 1]) for i in range(0, len(words) - 1, 2)}


def step(program, place, cursor, work):
    """Twelve kills of one volume. Answers sums of what the checks said."""
    dice = random.Random(cursor)
    log, file = work / "log", work / "volume"
    sums = {"acknowledged": 0, "moved": 0, "lost": 0, "kills": 0}
    device = "native" if place == "io_uring" else "file"

    def lives(volume):
        made = run(program, device, "make", volume, log)
        if made.returncode != 0:
            raise Failed(f"no volume could be made: {made.stdout}")
        for number in range(KILLS):
            said = life(program, device, volume, log, cursor * KILLS + number, dice.uniform(0.02, 0.6), number == 0)
            sums["kills"] += 1
            for name in ("acknowledged", "moved", "lost"):
                sums[name] += said[name]

    if place == "loop":
        with open(file, "wb") as made:
            made.truncate(VOLUME_BYTES)
        with Loop(file) as volume:
            lives(volume)
    else:
        lives(file)
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--cursor", type=int, default=0)
    parser.add_argument("--programs", type=pathlib.Path)
    parser.add_argument("--writer", type=pathlib.Path)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that a loop device is detached then too
    program = writer_program(options)
    places, cursor, passed = ["file", "loop", "io_uring"], options.cursor, True
    begin, kills = time.monotonic(), 0
    done = {}
    while places:
        place = places[cursor % len(places)]
        try:
            with tempfile.TemporaryDirectory(prefix="ashlar-kill-") as work:
                sums = step(program, place, cursor, pathlib.Path(work))
            kills += sums["kills"]
            for name, much in sums.items():
                done.setdefault(place, {}).setdefault(name, 0)
                done[place][name] += much
            cursor += 1
        except Missing as why:
            print(f"{place} is left out: {why}", flush=True)
            places.remove(place)
            continue
        except Failed as why:
            print(f"{place}: {why}\nFAILED at --cursor {cursor}")
            passed = False
            break
        if time.monotonic() - begin >= options.seconds:
            break
    for place, sums in done.items():
        print(f"{place}: {sums['kills']} kills; {sums['acknowledged']} changes acknowledged, {sums['lost']} that were begun "
              f"are not there, {sums['moved']} blocks moved before the kills")
        if sums["acknowledged"] == 0:
            print(f"nothing was ever acknowledged on {place}, so nothing was tested")
            passed = False
    if done and not any(sums["moved"] for sums in done.values()):
        print("nothing was ever moved")
        passed = False
    print(f"LONG cursor={cursor} count={kills} seconds={time.monotonic() - begin:.1f}")
    sys.exit(0 if passed and done else 1)


if __name__ == "__main__":
    main()
