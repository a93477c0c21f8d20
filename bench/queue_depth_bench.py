#!/usr/bin/env python3
"""G8: 4 KiB random reads with 32 in flight, past the page cache, beside fio on the same blocks of the same file.

Six rounds in which everybody has a turn; the figure is the median of the rounds' ratios.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

DEPTH = 32


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=pathlib.Path, required=True)
    parser.add_argument("--directory", type=pathlib.Path, required=True)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    file = options.directory / "queue_depth.ash"
    try:
        measure(options, file)
    finally:
        file.unlink(missing_ok=True)


def measure(options, file):
    part = options.programs / "queue_depth_part"
    said = run([part, "prepare", file]).split()
    first, length = said[1], said[3]
    seconds, rounds = ("0.3", 2) if options.quick else ("2", 6)

    fio = ["fio", "--name=peer", f"--filename={file}", f"--offset={first}", f"--size={length}", "--rw=randread",
           "--bs=4k", "--direct=1", "--ioengine=io_uring", f"--iodepth={DEPTH}", "--norandommap", "--time_based",
           f"--runtime={seconds if not options.quick else 1}", "--output-format=json"]
    ours = {"through a channel of the store": [part, "channel", file, first, length, seconds],
            "through a queue of the device": [part, "queue", file, first, length, seconds]}
    print(f'VERSION,"fio","{run(["fio", "--version"]).strip()}"')
    print(f'VERSION,"fio\'s command","{" ".join(fio)}"')

    figures = {name: [] for name in ours}
    peers = []
    for _ in range(rounds):
        for name, words in ours.items():
            fields = run(words).split()
            figures[name].append((float(fields[1]), float(fields[3])))
        peers.append(json.loads(run(fio))["jobs"][0]["read"]["iops"])
        print("round:", {name: seen[-1] for name, seen in figures.items()}, "fio:", peers[-1])
    for name, seen in figures.items():
        row(f"4 KiB random reads with {DEPTH} in flight, {name}", [iops for iops, _ in seen], peers)
    store, device = (statistics.median(cpu for _, cpu in seen) for seen in figures.values())
    print(f'ROW,"G8","CPU of a read with {DEPTH} in flight, through a channel of the store",{store:.6g},{device:.6g},'
          f'"through a queue of the device","ns",{store / device:.6g},lower,,', flush=True)


def row(name, ours, peers):
    ratio = statistics.median(mine / theirs for mine, theirs in zip(ours, peers))
    print(f'ROW,"G8","{name}",{statistics.median(ours):.6g},{statistics.median(peers):.6g},"fio","reads/s",'
          f"{ratio:.6g},higher,0.95,0.97", flush=True)


def run(words):
    return subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True,
                          stdin=subprocess.DEVNULL).stdout


if __name__ == "__main__":
    sys.exit(main())
