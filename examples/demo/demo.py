#!/usr/bin/env python3
"""Shows what ashlar does, on a real disk, with a tree of real files. Every figure is measured in this run.

usage: demo.py PROGRAM [DIR] [--work FOLDER] [--keep]

DIR (default /usr/include) is imported, the volume is fragmented, measured, defragmented while a foreground works on it,
killed in the middle, reopened, finished, verified, measured again, exported and compared with DIR. A region is added and
moves while threads use it. The volume shrinks, is copied, and grows.
"""

import argparse
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

BLOCK = 1024          # small blocks: headers are small files, and a file in one block cannot be fragmented
EXTENTS_MIN = 3       # from so many pieces on a file counts as fragmented
WANTED_RATIO = 0.52   # of the files; beyond one half the advice is "urgent"
READ_SECONDS = 4
MOVE_SECONDS = 3      # what a region takes to move, by its rate
RATE = 1 << 30        # the demonstration is to end soon: the disk is the limit
BUSY = 5              # what the program ends with while another process has the volume
STARTED = time.monotonic()


class DemoFailed(Exception):
    """What went wrong, for people."""


def title(text):
    print(f"\n\033[1m== {text}\033[0m" if colours() else f"\n== {text}", flush=True)


def colours():
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"


def human(size):
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return ""


def rate(size, seconds):
    return f"{size / max(seconds, 1e-9) / 2**20:.1f} MiB/s"


# ---- programs --------------------------------------------------------------------------------------------------------


class Programs:
    """The program and its helper, both from the same build."""

    def __init__(self, program, volume):
        self.program = Path(program).resolve()
        self.volume = str(volume)
        places = [self.program.parent, self.program.parent / "release" / "examples"]
        found = [place / "ashlar_workload" for place in places if (place / "ashlar_workload").exists()]
        if not self.program.exists() or not found:
            raise DemoFailed(f"{program} and its helper ashlar_workload are not built; use ./run demo")
        self.helper = found[0]

    def ask(self, command, *words):
        """Runs a command of the program and answers its document."""
        line = [str(self.program), command, self.volume, *words, "--json", "--quiet"]
        done = subprocess.run(line, stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise DemoFailed(f"'ashlar {command}' ended with code {done.returncode}")
        return json.loads(done.stdout)

    def show(self, command, *words):
        """Runs a command of the program for people to read."""
        print(f"$ ashlar {command} {os.path.relpath(self.volume)} {' '.join(words)}", flush=True)
        done = subprocess.run([str(self.program), command, self.volume, *words], stderr=None if sys.stderr.isatty() else subprocess.DEVNULL, check=False)
        if done.returncode != 0:
            raise DemoFailed(f"'ashlar {command}' ended with code {done.returncode}")

    def wait_until_free(self):
        """What the kernel still has to write for a killed process keeps the volume's lock a moment longer."""
        for _ in range(200):
            done = subprocess.run([str(self.program), "info", self.volume, "--json", "--quiet"], capture_output=True, check=False)
            if done.returncode != BUSY:
                return
            time.sleep(0.05)

    def work(self, *words):
        """Runs the helper and answers its events."""
        done = subprocess.run([str(self.helper), *words], stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise DemoFailed(f"the foreground's check failed (code {done.returncode})")
        return [json.loads(line) for line in done.stdout.splitlines()]


# ---- the steps -------------------------------------------------------------------------------------------------------


def look_at(folder):
    """Files, bytes, blocks, and how many files are large enough to be cut in pieces."""
    seen = {"files": 0, "bytes": 0, "blocks": 0, "large": 0}
    for top, _, names in os.walk(folder):
        for name in names:
            about = os.lstat(os.path.join(top, name))
            if not stat.S_ISREG(about.st_mode) or about.st_size == 0:
                continue
            blocks = -(-about.st_size // BLOCK)
            seen["files"] += 1
            seen["bytes"] += about.st_size
            seen["blocks"] += blocks
            seen["large"] += blocks >= EXTENTS_MIN
    if seen["large"] == 0:
        raise DemoFailed(f"{folder} has no file of {EXTENTS_MIN} KiB or more; choose another folder")
    return seen


def disk_of(folder):
    """Kind of file system and device below a folder."""
    best = ("", "unknown", "")
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        device, place, kind = line.split()[:3]
        if (str(folder) + "/").startswith(place.rstrip("/") + "/") and len(place) >= len(best[0]):
            best = (place, kind, device)
    return best[1], best[2]


def make_volume(programs, source, tree, work):
    size = (2 * tree["blocks"] * BLOCK // 2**20 + 64) * 2**20
    kind, device = disk_of(work)
    free = shutil.disk_usage(work).free
    if free < size + tree["bytes"] * 2:
        raise DemoFailed(f"{work} has {human(free)} free and the demonstration needs {human(size + tree['bytes'] * 2)}; use --work")
    title(f"a volume of {human(size)} on {device} ({kind}); {source} goes in: {tree['files']} files, {human(tree['bytes'])}")
    if kind == "tmpfs":
        print("this is memory, not a disk; --work names a folder on a disk")
    programs.show("format", "--size", str(size), "--block", str(BLOCK), "--label", "demonstration")
    programs.show("import", str(source))


def fragment(programs, tree):
    ratio = min(WANTED_RATIO, int(90 * tree["large"] / (tree["files"] + 1)) / 100)
    if ratio < 0.01:
        raise DemoFailed("too few files are large enough to be fragmented; choose another folder")
    title("years of use: files rewritten in pieces with their own bytes, between fillers that come and go")
    programs.show("age", "--seed", "1", "--until", f"{ratio:.2f}", "--extents-min", str(EXTENTS_MIN))
    programs.show("defrag-analyze", "--extents-min", str(EXTENTS_MIN), "--columns", "90")


def measure(programs, when):
    title(f"how fast it reads {when}: files whole in the order of their names, then 32 KiB at random; every byte verified")
    reads = programs.work("reads", programs.volume, str(READ_SECONDS))[0]
    where = "past the page cache" if reads["past_the_page_cache"] else "through the page cache"
    print(f"whole files: {rate(reads['whole_bytes'], reads['whole_seconds'])} ({reads['files']} files in {reads['whole_seconds']:.1f} s, {where})")
    print(f"random reads: {reads['random_reads'] / reads['random_seconds']:.0f}/s, median {reads['random_p50_us']:.0f} us, p99 {reads['random_p99_us']:.0f} us")
    return reads


def show_progress(event, plan, moved_before):
    share = min(1.0, (event["bytes_moved"] + moved_before) / max(1, plan))
    line = (f"  {share:4.0%} of the plan, {human(event['bytes_moved'])} moved in {event['seconds']:.1f} s; foreground: {event['slots_checked']} reads checked, "
            f"{event['slots_overwritten']} overwrites, p99 {event['foreground_p99_us']:.0f} us")
    if sys.stdout.isatty():
        print("\r\033[K" + line[: shutil.get_terminal_size().columns - 1], end="", flush=True)
    return line


def churn(programs, log, plan, kill_at=None, moved_before=0):
    """Defragments with the foreground beside it; kills it at `kill_at` bytes. Answers its events."""
    line = [str(programs.helper), "churn", programs.volume, str(log), str(EXTENTS_MIN), str(RATE), "1" if kill_at else "2"]
    events, last = [], ""
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as child:
        for text in child.stdout:
            event = json.loads(text)
            events.append(event)
            if event["event"] == "opened" and not event["clean"]:
                print(f"recovery: {event['seconds'] * 1000:.0f} ms, {human(event['journal_bytes_read'])} of the journal read, batches {event['first_batch']} to "
                      f"{event['last_batch']} replayed, {event['data_blocks_checked']} data blocks proved, {event['batches_cut']} unacknowledged batches cut")
            if event["event"] == "checked":
                print(f"the log's {event['slots']} slots: every acknowledged write is there; {event['newer_than_acknowledged']} hold a newer, unacknowledged one")
            if event["event"] in ("progress", "finished"):
                last = show_progress(event, plan, moved_before)
            if kill_at and event["event"] == "progress" and event["bytes_moved"] >= kill_at:
                child.send_signal(signal.SIGKILL)
                break
        code = child.wait()
    print(("\r\033[K" if sys.stdout.isatty() else "") + last)
    if kill_at and code == -signal.SIGKILL:
        print(f"  killed with SIGKILL (process {child.pid})")
        programs.wait_until_free()
    elif code != 0:
        raise DemoFailed(f"the defragmentation ended with code {code}")
    return events


def defragment(programs, work):
    before = programs.ask("defrag-analyze", "--extents-min", str(EXTENTS_MIN), "--columns", "0")
    plan = before["plan"]["bytes_written"]
    log = work / "acknowledged.log"
    title(f"defragment online: {human(plan)} to move, while a foreground reads and overwrites its own objects and checks every byte")
    first = churn(programs, log, plan, plan * 2 // 5)
    title("reopen after the kill; a log outside of the volume says what was acknowledged")
    state = programs.ask("info")
    print(f"the volume is {'clean' if state['clean'] else 'not closed, as after a crash'}; looking at it wrote nothing")
    second = churn(programs, log, plan, moved_before=next((e["bytes_moved"] for e in reversed(first) if "bytes_moved" in e), 0))
    finished = programs.work("finish", programs.volume, str(log))[-1]
    return before, first, second, finished


def move_region(programs):
    """Leaves a hole in front of a region, and moves it there, and on where objects can leave its way, while threads use it.
    Answers what the helper measured."""
    title("a region moves into a hole before it, and objects out of its way, while threads read and overwrite it and check every byte")
    room = programs.ask("regions", "--columns", "0")["largest_free_run"] * BLOCK
    size = min(64, max(1, room // 2**20 // 4)) * 2**20
    programs.show("region-add", "HOLE", str(size))
    programs.show("region-add", "LOGS", str(size))
    programs.show("region-remove", "HOLE", "0")
    programs.show("compact", "--region", "LOGS:0", "--dry-run")
    moved = programs.work("region", programs.volume, "LOGS:0", str(size // MOVE_SECONDS))[-1]
    if moved["regions_moved"] == 0 or moved["to"] >= moved["from"]:
        raise DemoFailed("the region did not move")
    print(f"from block {moved['from']} to {moved['to']}: {human(moved['bytes_moved'])} in {moved['seconds']:.1f} s, held to {rate(size, MOVE_SECONDS)}; meanwhile "
          f"{moved['slots_checked']} reads of 64 KiB checked, {moved['slots_overwritten']} overwrites, reads' p99 {moved['foreground_p99_us']:.0f} us")
    programs.show("regions", "--columns", "90")
    return moved


def shrink_and_copy(programs, work):
    """Gives back what the volume does not need, and copies it; both keep every byte. Answers what that was."""
    title("the volume shrinks to little more than it holds, and its file with it; then it is copied, and grows again")
    programs.show("region-remove", "LOGS", "0")
    size = os.path.getsize(programs.volume)
    least = programs.ask("shrink", "--to", str(size - BLOCK), "--dry-run")["smallest_bytes"]
    target = (least + (size - least) // 8) // BLOCK * BLOCK
    programs.show("shrink", "--to", str(target), "--rate", str(RATE))
    small = os.path.getsize(programs.volume)
    if small != target:
        raise DemoFailed("the file did not become shorter")
    copy = work / "copy.ash"
    copy.unlink(missing_ok=True)
    programs.show("copy", str(copy), "--rate", str(RATE))
    programs.show("grow", "--to", str(size))
    second = Programs(programs.program, copy)
    second.show("verify")
    programs.show("verify")
    copy.unlink()
    return size, small


def differences(source, copy):
    """Names, kinds, modes, times, link targets and bytes of two trees; answers the number of names and what differs."""
    names, different = 0, []
    for top, folders, files in os.walk(os.fsencode(source)):
        below = os.path.relpath(top, os.fsencode(source))
        other_top = os.path.join(os.fsencode(copy), below)
        if sorted(os.listdir(top)) != sorted(os.listdir(other_top)):
            different.append((below, "names"))
        for name in [b"."] + folders + files:
            names += 1
            one, two = os.path.join(top, name), os.path.join(other_top, name)
            if not os.path.lexists(two):
                different.append((one, "missing"))
                continue
            what = difference(one, two)
            if what:
                different.append((one, what))
    return names, different


def difference(one, two):
    left, right = os.lstat(one), os.lstat(two)
    if left.st_mode != right.st_mode:
        return "mode"
    if left.st_mtime_ns != right.st_mtime_ns:
        return "time"
    if stat.S_ISLNK(left.st_mode):
        return "" if os.readlink(one) == os.readlink(two) else "target"
    if not stat.S_ISREG(left.st_mode):
        return ""
    if left.st_size != right.st_size:
        return "size"
    with open(one, "rb") as a, open(two, "rb") as b:
        while True:
            piece = a.read(1 << 20)
            if piece != b.read(1 << 20):
                return "bytes"
            if not piece:
                return ""


def prove(programs, source, work):
    title("proof: owners, leaks, overlaps and checksums; then the export against the original")
    programs.show("verify")
    out = work / "export"
    programs.show("export", str(out))
    names, different = differences(source, out)
    if different:
        raise DemoFailed(f"{len(different)} names differ, first {different[0]}")
    print(f"{names} names compared with {source}: kinds, modes, times, links and bytes are the same")
    return names


def print_summary(rows, facts):
    title("summary")
    width = max(len(row[0]) for row in rows) + 2
    print(f"{'':{width}}{'fragmented':>16}{'defragmented':>16}")
    for name, before, after in rows:
        print(f"{name:{width}}{before:>16}{after:>16}")
    print()
    for fact in facts:
        print(f"  {fact}")
    print(f"\n  all of it in {time.monotonic() - STARTED:.0f} s")


def summarize(before, after, reads_before, reads_after, runs, moved, sizes, names):
    first, second, finished = runs
    per_object = lambda seen: f"{seen['extents'] / max(1, seen['objects_with_data']):.2f}"
    random = lambda seen: f"{seen['random_reads'] / seen['random_seconds']:.0f}/s"
    last = [next((e for e in reversed(events) if e["event"] in ("progress", "finished")), None) for events in (first, second)]
    total = lambda key: sum(event[key] for event in last if event)
    opened = next((e for e in second if e["event"] == "opened"), None)
    rows = [("fragmented files", f"{before['object_fragmentation']:.1%}", f"{after['object_fragmentation']:.1%}"),
            ("extents a file", per_object(before), per_object(after)),
            ("advice", before["recommendation"], after["recommendation"]),
            ("whole files", rate(reads_before["whole_bytes"], reads_before["whole_seconds"]), rate(reads_after["whole_bytes"], reads_after["whole_seconds"])),
            ("random 32 KiB reads", random(reads_before), random(reads_after)),
            ("  their p99", f"{reads_before['random_p99_us']:.0f} us", f"{reads_after['random_p99_us']:.0f} us")]
    facts = [f"{human(total('bytes_moved'))} moved online in {total('seconds'):.1f} s, with a kill in the middle",
             f"foreground meanwhile: {total('slots_checked')} reads, every byte checked, {total('slots_overwritten')} overwrites, p99 {max(e['foreground_p99_us'] for e in last if e):.0f} us",
             f"recovery after the kill: {opened['seconds'] * 1000:.0f} ms; {finished['slots']} slots checked against the log, nothing acknowledged was lost",
             f"a region of {human(moved['bytes_moved'])} moved in {moved['seconds']:.1f} s; {moved['slots_checked']} reads of it checked meanwhile, {moved['slots_overwritten']} overwrites",
             f"a volume of {human(sizes[0])} shrank to {human(sizes[1])}, was copied, and grew again; all of it verified",
             f"{names} exported names are as they were imported"]
    print_summary(rows, facts)


def main():
    parser = argparse.ArgumentParser(description="Shows what ashlar does, with a tree of real files.")
    parser.add_argument("program")
    parser.add_argument("folder", nargs="?", default="/usr/include", metavar="DIR")
    parser.add_argument("--work", help="folder for the volume and the export (default: demo beside the program)")
    parser.add_argument("--keep", action="store_true", help="keep the volume and the export")
    chosen = parser.parse_args()
    work = Path(chosen.work).resolve() if chosen.work else Path(chosen.program).resolve().parent / "demo"
    source = Path(chosen.folder).resolve()
    if not source.is_dir():
        raise DemoFailed(f"{source} is no folder")
    shutil.rmtree(work / "export", ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    for name in ("volume.ash", "acknowledged.log"):
        (work / name).unlink(missing_ok=True)
    try:
        programs = Programs(chosen.program, work / "volume.ash")
        tree = look_at(source)
        make_volume(programs, source, tree, work)
        fragment(programs, tree)
        reads_before = measure(programs, "fragmented")
        before, *runs = defragment(programs, work)
        moved = move_region(programs)
        sizes = shrink_and_copy(programs, work)
        names = prove(programs, source, work)
        title("after")
        programs.show("defrag-analyze", "--extents-min", str(EXTENTS_MIN), "--columns", "90")
        after = programs.ask("defrag-analyze", "--extents-min", str(EXTENTS_MIN), "--columns", "0")
        reads_after = measure(programs, "defragmented")
        summarize(before, after, reads_before, reads_after, runs, moved, sizes, names)
    finally:
        if not chosen.keep:
            shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    try:
        main()
    except DemoFailed as problem:
        sys.exit(f"demo: {problem}")
    except KeyboardInterrupt:
        sys.exit(130)
