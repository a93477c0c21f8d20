#!/usr/bin/env python3
"""Runs the benchmarks and tells what they measured.

A benchmark is a program NAME_bench or a script NAME_bench.py beside this file, which gets the folder of the programs as
`--programs`. Both take --quick and --directory DIR, and print lines that are collected here, as CSV:

  ROW,id,measure,ours,peer,peer_name,unit,ratio,better,floor,goal   a comparison; `ratio` is judged
  SKIP,id,measure,reason                                            what could not be measured here
  POINT,plot,series,x,y                                             a point of a plot
  VERSION,name,text                                                 what the figures depend on
  COMMAND,text                                                      what the rows after it come from, if another program

Everything else that they print goes to their log. Into --results come results.csv, table.md, one plot per question and
the logs.
"""

import argparse
import csv
import os
import pathlib
import platform
import resource
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROW_FIELDS = ["id", "measure", "ours", "peer", "peer_name", "unit", "ratio", "better", "floor", "goal"]
QUIET_SHARE_MAX = 0.10  # The kernel's own work for a benchmark counts as others'.
VERDICT_WORDS = {"goal": "meets goal", "floor": "meets floor", "missed": "MISSED", "": ""}


def parse_arguments():
    parser = argparse.ArgumentParser(description="Runs the benchmarks and prints a table.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these: 'commit' runs commit_bench")
    parser.add_argument("--quick", action="store_true", help="a tenth of the time: shows that they work, not how fast")
    parser.add_argument("--list", action="store_true", help="print the names and end")
    parser.add_argument("--strict", action="store_true", help="fail where a floor is missed")
    parser.add_argument("--programs", type=pathlib.Path, default=HERE.parent / "build/bench/bench")
    parser.add_argument("--results", type=pathlib.Path, default=HERE.parent / "build/bench/results")
    parser.add_argument("--directory", type=pathlib.Path, default=HERE.parent / "build/bench/files",
                        help="for the files that are measured: on the disk whose speed is asked for")
    parser.add_argument("--timeout", type=float, default=900, help="seconds that one benchmark may take")
    return parser.parse_args()


# ---- what there is ---------------------------------------------------------------------------------------------------

def find_benchmarks(programs):
    """Name to command line."""
    found = {}
    for source in sorted(HERE.glob("*_bench.cpp")):
        found[source.stem.removesuffix("_bench")] = [str(programs / source.stem)]
    for script in sorted(HERE.glob("*_bench.py")):
        found[script.stem.removesuffix("_bench")] = [sys.executable, str(script), "--programs", str(programs)]
    return found


def first_line(*words):
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else ""


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return platform.machine()


def file_system(folder):
    return first_line("findmnt", "-n", "-o", "FSTYPE,SOURCE", "-T", str(folder))


def versions_of_the_machine(options):
    flags = options.programs / "flags.txt"
    said = {"kernel": platform.release(), "processor": processor(), "files on": file_system(options.directory),
            "compiler": flags.read_text().strip() if flags.exists() else first_line("g++", "--version"),
            "ashlar": first_line("git", "-C", str(HERE), "describe", "--always", "--dirty")}
    for name, words in {"fio": ["fio", "--version"], "e2fsprogs": ["e4defrag", "-V"], "xfsprogs": ["mkfs.xfs", "-V"],
                        "btrfs-progs": ["btrfs", "--version"]}.items():
        if shutil.which(words[0]):
            said[name] = first_line(*words)
    return {name: text for name, text in said.items() if text}


# ---- running ---------------------------------------------------------------------------------------------------------

class Processors:
    """How busy others keep the processors: a benchmark that has to share them measures whom it shares them with."""

    def __init__(self):
        self.busy, self.own, self.begin = *self.now(), time.monotonic()

    @staticmethod
    def now():
        """Seconds in which some processor worked; those that the programs run from here have taken."""
        ticks = [int(word) for word in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        idle = ticks[3] + ticks[4]
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return (sum(ticks) - idle) / os.sysconf("SC_CLK_TCK"), used.ru_utime + used.ru_stime

    def share_of_others(self):
        busy, own = self.now()
        seconds = (time.monotonic() - self.begin) * os.cpu_count()
        return max(0.0, (busy - self.busy) - (own - self.own)) / seconds


class Collected:
    def __init__(self):
        self.rows, self.skipped, self.points, self.versions, self.failed, self.disturbed = [], [], [], {}, [], []

    def take(self, line, name, command):
        """Answers the command that later lines of the program come from."""
        try:
            fields = next(csv.reader([line]))
        except (csv.Error, StopIteration):
            return command
        kind, rest = fields[0], fields[1:]
        if kind == "ROW" and len(rest) == len(ROW_FIELDS):
            row = dict(zip(ROW_FIELDS, rest))
            for field in ("ours", "peer", "ratio", "floor", "goal"):
                row[field] = float(row[field]) if row[field] else None
            row.update(benchmark=name, command=command, verdict=verdict(row))
            self.rows.append(row)
            print("  " + one_line(row), flush=True)
        elif kind == "SKIP" and len(rest) == 3:
            self.skipped.append(dict(id=rest[0], measure=rest[1], reason=rest[2], benchmark=name))
            print(f"  {rest[0]} {rest[1]}: not measured: {rest[2]}", flush=True)
        elif kind == "POINT" and len(rest) == 4:
            self.points.append((rest[0], rest[1], float(rest[2]), float(rest[3])))
        elif kind == "VERSION" and len(rest) == 2:
            self.versions[rest[0]] = rest[1]
        elif kind == "COMMAND" and len(rest) == 1:
            return rest[0]
        return command


def verdict(row):
    """Which of floor and goal the judged figure meets; empty where there is neither."""
    value = row["ratio"]
    if value is None or (row["floor"] is None and row["goal"] is None):
        return ""
    meets = (lambda bound: value >= bound) if row["better"] == "higher" else (lambda bound: value <= bound)
    if row["goal"] is not None and meets(row["goal"]):
        return "goal"
    return "floor" if row["floor"] is not None and meets(row["floor"]) else "missed"


def run_one(name, words, options, collected):
    words = words + ["--directory", str(options.directory)] + (["--quick"] if options.quick else [])
    shown = " ".join(os.path.relpath(word) if word.startswith(str(HERE.parent)) else word for word in words)
    print(f"\n== {name}: {shown}", flush=True)
    begin, command, processors = time.monotonic(), shown, Processors()
    there_before = set(options.directory.iterdir())
    with open(options.results / f"{name}.log", "w", encoding="utf-8") as log:
        child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                 stdin=subprocess.DEVNULL, errors="replace")
        ends = [threading.Timer(options.timeout, child.terminate), threading.Timer(options.timeout + 30, child.kill)]
        for end in ends:
            end.start()
        for line in child.stdout:
            log.write(line)
            command = collected.take(line.rstrip("\n"), name, command)
        code = child.wait()
        for end in ends:
            end.cancel()
    if code != 0:
        collected.failed.append(f"{name} (exit code {code}), see {os.path.relpath(options.results / (name + '.log'))}")
        print(f"  FAILED: {collected.failed[-1]}", flush=True)
    for left in set(options.directory.iterdir()) - there_before:  # by a benchmark that was ended
        shutil.rmtree(left) if left.is_dir() and not left.is_mount() else left.unlink()
    others = processors.share_of_others()
    if others > QUIET_SHARE_MAX:
        collected.disturbed.append(f"{name}: others took {others:.0%} of the processors, so its figures say little")
    print(f"  {time.monotonic() - begin:.0f} s, others took {others:.0%} of the processors", flush=True)


# ---- telling ---------------------------------------------------------------------------------------------------------

def figure(value):
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def one_line(row):
    against = f" / {row['peer_name']} {figure(row['peer'])}" if row["peer"] is not None else ""
    said = VERDICT_WORDS[row["verdict"]]
    return f"{row['id']} {row['measure']}: {figure(row['ours'])}{against} {row['unit']} = {figure(row['ratio'])}" + (
        f", {said}" if said else "")


def table_of(collected):
    head = ["", "measure", "ours", "peer", "peer's", "unit", "ratio", "floor", "goal", ""]
    lines = [head]
    for row in sorted(collected.rows, key=lambda row: natural(row["id"])):
        sign = ">= " if row["better"] == "higher" else "<= "
        bounds = [sign + figure(row[name]) if row[name] is not None else "" for name in ("floor", "goal")]
        lines.append([row["id"], row["measure"], figure(row["ours"]), row["peer_name"], figure(row["peer"]), row["unit"],
                      figure(row["ratio"]), *bounds, VERDICT_WORDS[row["verdict"]]])
    for gap in collected.skipped:
        lines.append([gap["id"], gap["measure"], "-", "", "-", "", "-", "", "", "not measured: " + gap["reason"]])
    return lines


def natural(text):
    """G2 before G10, and G1' behind G1."""
    digits = "".join(letter for letter in text if letter.isdigit())
    return (int(digits) if digits else 0, text)


def markdown(lines):
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    said = ["| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths)) + " |" for line in lines]
    said.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(said)


def write_csv(path, collected):
    with open(path, "w", newline="", encoding="utf-8") as file:
        fields = ["benchmark", *ROW_FIELDS, "verdict", "command"]
        writer = csv.DictWriter(file, fieldnames=fields)
        writer.writeheader()
        writer.writerows(collected.rows)
    with open(path.with_name("points.csv"), "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["plot", "series", "x", "y"])
        writer.writerows(collected.points)


def draw(folder, collected):
    try:
        import matplotlib
    except ImportError:
        print("no plots: python3-matplotlib is missing")
        return
    matplotlib.use("Agg")
    from matplotlib import pyplot
    for plot in dict.fromkeys(point[0] for point in collected.points):
        shown, axes = pyplot.subplots(figsize=(7, 4.2))
        for series in dict.fromkeys(point[1] for point in collected.points if point[0] == plot):
            places = [point[2:] for point in collected.points if point[:2] == (plot, series)]
            axes.plot([x for x, _ in places], [y for _, y in places], marker="o", label=series)
        axes.set_title(plot)
        axes.set_ylim(bottom=0)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
        shown.tight_layout()
        shown.savefig(folder / (file_name(plot) + ".png"), dpi=120)
        pyplot.close(shown)
    for id in dict.fromkeys(row["id"] for row in collected.rows):
        rows = [row for row in collected.rows if row["id"] == id and row["ratio"] is not None]
        shown, axes = pyplot.subplots(figsize=(8, 1.2 + 0.42 * len(rows)))
        names = [row["measure"] + (f" / {row['peer_name']}" if row["peer_name"] else "") for row in rows]
        colours = {"goal": "tab:green", "floor": "tab:olive", "missed": "tab:red", "": "tab:gray"}
        axes.barh(range(len(rows)), [row["ratio"] for row in rows], color=[colours[row["verdict"]] for row in rows])
        for place, row in enumerate(rows):
            for bound, style in ((row["floor"], ":"), (row["goal"], "-")):
                if bound is not None:
                    axes.plot([bound, bound], [place - 0.4, place + 0.4], style, color="black", linewidth=1.2)
        axes.set_yticks(range(len(rows)), names, fontsize=7)
        axes.invert_yaxis()
        axes.set_title(f"{id}: ratio (dotted: floor, solid: goal)", fontsize=9)
        shown.tight_layout()
        shown.savefig(folder / (file_name(id) + ".png"), dpi=120)
        pyplot.close(shown)


def file_name(text):
    return "".join(letter if letter.isalnum() else "_" for letter in text.replace("'", "_prime")).strip("_").lower()


def main():
    options = parse_arguments()
    found = find_benchmarks(options.programs)
    unknown = [name for name in options.names if name not in found]
    if options.list or unknown:
        print("\n".join(found))
        return 2 if unknown else 0
    options.results.mkdir(parents=True, exist_ok=True)
    options.directory.mkdir(parents=True, exist_ok=True)
    options.directory = options.directory.resolve()

    begin = time.monotonic()
    collected = Collected()
    collected.versions.update(versions_of_the_machine(options))
    for name, words in found.items():
        if not options.names or name in options.names:
            run_one(name, words, options, collected)

    lines = table_of(collected)
    versions = "\n".join(f"- {name}: {text}" for name, text in collected.versions.items())
    commands = "\n".join(f"- {row}" for row in dict.fromkeys(
        f"{row['id']} {row['measure']}: `{row['command']}`" for row in collected.rows))
    kind = " (--quick: too short to judge)" if options.quick else ""
    disturbed = "".join(f"NOT QUIET: {what}\n" for what in collected.disturbed)
    (options.results / "table.md").write_text(
        f"# Benchmarks{kind}\n\n{disturbed}\n{markdown(lines)}\n\n## Versions\n\n{versions}\n\n## Commands\n\n{commands}\n",
        encoding="utf-8")
    write_csv(options.results / "results.csv", collected)
    draw(options.results, collected)
    print(f"\n== results{kind}\n\n{markdown(lines)}\n\n{versions}\n\n{disturbed}")
    print(f"{time.monotonic() - begin:.0f} s; CSV, plots, logs and commands: {os.path.relpath(options.results)}")
    for failure in collected.failed:
        print(f"FAILED: {failure}")
    missed = any(row["verdict"] == "missed" for row in collected.rows)
    return 1 if collected.failed or (options.strict and missed) else 0


if __name__ == "__main__":
    sys.exit(main())
