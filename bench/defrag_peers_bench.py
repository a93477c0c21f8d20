#!/usr/bin/env python3
"""What the defragmenters of ext4, xfs and btrfs do to a reader beside them: G1 and G2.

Each file system lies in a file behind a loop device. Two files grow in turns in pieces of 4 to 124 KiB, 64 KiB in the
mean, so that both lie in pieces; both are defragmented while another file is read, 4 KiB at a time past the page cache.
The time counts until everything is on the disk. Three rounds, the file systems in turns; medians. Lines are those of
run.py. Needs root.
"""

import argparse
import contextlib
import csv
import json
import mmap
import os
import pathlib
import random
import re
import shutil
import signal
import statistics
import subprocess
import sys
import time

GIBI = 1 << 30
MEBI = 1 << 20
BLOCK = 4096
IN_NAMESPACE = "ASHLAR_BENCH_OWN_MOUNTS"

PEERS = {
    "ext4": dict(id="G1", tool="e4defrag", bytes_each=GIBI // 8,  # it is slow
                 make=["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0"],
                 run=lambda files: [["e4defrag", *files]]),
    "xfs": dict(id="G2", tool="xfs_fsr", bytes_each=GIBI // 2, make=["mkfs.xfs", "-q", "-f"],
                run=lambda files: [["xfs_fsr", "-v", file] for file in files]),
    "btrfs": dict(id="G2", tool="btrfs filesystem defragment", bytes_each=GIBI // 2, make=["mkfs.btrfs", "-q", "-f"],
                  run=lambda files: [["btrfs", "filesystem", "defragment", "-t", "128M", "-f", *files]]),
}


class Unavailable(Exception):
    """The peer cannot be measured here; the text says why."""


def say(kind, *fields):
    csv.writer(sys.stdout, lineterminator="\n").writerow([kind, *fields])
    sys.stdout.flush()


def say_row(id, measure, ours, peer, peer_name, unit, ratio, better):
    say("ROW", id, measure, f"{ours:.6g}", f"{peer:.6g}", peer_name, unit, f"{ratio:.6g}", better, "", "")


def must_run(*words):
    try:
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    except FileNotFoundError as missing:
        raise Unavailable(f"{words[0]} is not installed") from missing
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise Unavailable(f"{' '.join(words[:2])}: {said[-1] if said else 'failed'}")
    return done.stdout


# ---- a file system behind a loop device ------------------------------------------------------------------------------

@contextlib.contextmanager
def mounted(folder, kind, size):
    """The folder where it is mounted. Whatever happens, mount, loop device and file are gone afterwards."""
    image, place = folder / f"{kind}.img", folder / kind
    place.mkdir(exist_ok=True)
    device, is_mounted = None, False
    try:
        with open(image, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
        must_run(*PEERS[kind]["make"], str(image))
        device = must_run("losetup", "--find", "--show", "--direct-io=on", str(image)).strip()
        must_run("mount", "-t", kind, device, str(place))
        is_mounted = True
        subprocess.run(["losetup", "-d", device], capture_output=True, check=False)  # goes with the mount from now on
        yield place
    finally:
        if is_mounted:
            for _ in range(20):
                if subprocess.run(["umount", str(place)], capture_output=True, check=False).returncode == 0:
                    break
                time.sleep(0.5)
        if device is not None and str(image) in subprocess.run(["losetup", "-l", "-n", "-O", "BACK-FILE", device],
                                                              capture_output=True, text=True, check=False).stdout:
            subprocess.run(["losetup", "-d", device], capture_output=True, check=False)
        with contextlib.suppress(OSError):
            place.rmdir()
        image.unlink(missing_ok=True)


def fill(path, bytes_):
    """Writes past the page cache: bytes that no file system could leave out."""
    memory = mmap.mmap(-1, MEBI)
    memory.write(random.Random(5).randbytes(MEBI))
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_DIRECT, 0o644)
    try:
        for at in range(0, bytes_, MEBI):
            os.pwrite(file, memory, at)
        os.fsync(file)
    finally:
        os.close(file)


def make_fragmented(paths, bytes_each):
    """Files that get their blocks in turns."""
    numbers = random.Random(11)
    files = [os.open(path, os.O_RDWR | os.O_CREAT, 0o644) for path in paths]
    try:
        ends = [0] * len(files)
        while min(ends) < bytes_each:
            for i, file in enumerate(files):
                piece = numbers.randint(1, 31) * BLOCK
                piece = min(piece, bytes_each - ends[i])
                if piece > 0:
                    os.posix_fallocate(file, ends[i], piece)
                    ends[i] += piece
    finally:
        for file in files:
            os.close(file)
    for path in paths:
        fill(path, bytes_each)


def extents_of(path):
    said = must_run("filefrag", str(path))
    found = re.search(r": (\d+) extents? found", said)
    if not found:
        raise Unavailable("filefrag says nothing about extents")
    return int(found.group(1))


# ---- the reader ------------------------------------------------------------------------------------------------------

class Reader:
    """Reads the file in a program of its own, from `with` to its end; afterwards `times` holds what it saw."""

    def __init__(self, program, path):
        self.words, self.times = [str(program), "read", str(path)], None

    def __enter__(self):
        self.child = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        return self

    def __exit__(self, *_):
        said, _ = self.child.communicate()
        self.times = json.loads(said) if said else None


def measure(kind, folder, program, quick):
    """One round: megabytes a second of the peer and of the raw copy; p99 and p99.9, busy and quiet."""
    peer = PEERS[kind]
    bytes_each, others = peer["bytes_each"] // (4 if quick else 1), GIBI // (8 if quick else 2)
    with mounted(folder, kind, max(10 * others, 2 * GIBI)) as place:
        front, source, target = place / "front", place / "source", place / "target"
        for path in (front, source, target):
            fill(path, others)
        victims = [place / "a", place / "b"]
        make_fragmented(victims, bytes_each)
        must_run("sync", "-f", str(place))
        before = sum(extents_of(path) for path in victims)
        if before < len(victims) * bytes_each // (256 * 1024):
            raise Unavailable(f"the files lie in {before} extents only")
        raw = raw_copy(program, source, target, quick)
        with Reader(program, front) as quiet:
            time.sleep(0.3 if quick else 2)
        with Reader(program, front) as busy:
            begin = time.monotonic()
            for words in peer["run"]([str(path) for path in victims]):
                must_run(*words)
            must_run("sync", "-f", str(place))
            took = time.monotonic() - begin
        raw_again = raw_copy(program, source, target, quick)
        after = sum(extents_of(path) for path in victims)
    rate, best = len(victims) * bytes_each / took / 1e6, (raw + raw_again) / 2
    print(f"{kind}: extents {before} to {after}, {took:.2f} s; idle {quiet.times}; busy {busy.times}; "
          f"raw copy {raw:.0f} and {raw_again:.0f} MB/s")
    if after * 2 > before:
        raise Unavailable(f"{peer['tool']} left {after} of {before} extents")
    return dict(rate=rate, raw=best, busy=busy.times, quiet=quiet.times)


def tell(kind, rounds):
    """Medians, also of the ratios."""
    peer = PEERS[kind]

    def median(of):
        return statistics.median(of(one) for one in rounds)

    say("COMMAND", " ; ".join(" ".join(words) for words in peer["run"](["FILE", "FILE"])))
    say_row(peer["id"], f"{peer['tool']} beside 4 KiB reads", median(lambda one: one["rate"]), median(lambda one: one["raw"]),
            f"raw copy 1 MiB x 8 on {kind}", "MB/s", median(lambda one: one["rate"] / one["raw"]), "higher")
    for name, key in (("p99", "p99"), ("p99.9", "p999")):
        say_row(peer["id"], f"{name} of those reads beside {peer['tool']}", median(lambda one, key=key: one["busy"][key]),
                median(lambda one, key=key: one["quiet"][key]), "idle", "us",
                median(lambda one, key=key: one["busy"][key] / one["quiet"][key]), "lower")


def raw_copy(program, source, target, quick):
    said = must_run(str(program), "copy", str(source), str(target), "0.3" if quick else "1.5")
    return json.loads(said)["megabytes_per_second"]


# ---- the whole -------------------------------------------------------------------------------------------------------

def enter_own_mounts():
    """In a mount namespace of our own nothing stays mounted, however this ends."""
    if IN_NAMESPACE in os.environ or shutil.which("unshare") is None:
        return
    possible = subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode == 0
    if possible:
        os.environ[IN_NAMESPACE] = "1"
        os.execvp("unshare", ["unshare", "--mount", "--propagation", "private", sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--directory", type=pathlib.Path, default=pathlib.Path("."))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=PEERS)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is taken down
    if os.geteuid() == 0:
        enter_own_mounts()
    folder = options.directory.resolve() / "defrag_peers"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        kinds = [options.only] if options.only else list(PEERS)
        seen = {kind: [] for kind in kinds}
        for _ in range(1 if options.quick else 3):
            for kind in list(kinds):
                try:
                    if os.geteuid() != 0:
                        raise Unavailable("mounting needs root")
                    seen[kind].append(measure(kind, folder, options.programs / "closed_loop_part", options.quick))
                except (Unavailable, OSError) as reason:
                    kinds.remove(kind)
                    say("SKIP", PEERS[kind]["id"], f"{PEERS[kind]['tool']} beside 4 KiB reads", str(reason))
        for kind in kinds:
            tell(kind, seen[kind])
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
