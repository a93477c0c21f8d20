#!/usr/bin/env python3
"""Fails when a header of ashlar includes what its floor may not see. The floors are drawn in DESIGN.md.

Three kinds of rule: which of our own headers a folder may include, which system and library headers may stand where, and
that the front door, ashlar.hpp, reaches no header of an operating system. Planted violations are checked first, so that
a rule that has gone blind is noticed.
"""
import pathlib
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)

ISLANDS = {"device", "journal", "allocator", "throttle", "defrag_policy", "checksum", "threading", "trim"}
FLOORS = {"vocabulary": 0, "concepts": 1, "format": 1, **{island: 2 for island in ISLANDS},
          "volume": 3, "object": 4, "relocation": 5, "region": 5, "maintenance": 6, "copy": 7, "": 7, "hosted": 8, "testing": 8}

# The order of the steps within a floor: a header includes none that stands to the right of it.
STEPS = [["concepts", "format"],
         ["volume/metadata_cache.hpp", "volume/transaction.hpp", "volume/region_table.hpp", "volume/space.hpp",
          "volume/checksum_table.hpp", "volume/sealed_batch.hpp", "volume/commit.hpp", "volume/join.hpp", "volume/recovery.hpp"],
         ["object/tree.hpp", "object/extent_map.hpp", "object/object_io.hpp"],
         ["object/tree.hpp", "object/object_table.hpp", "object/object_io.hpp"]]

# The hash that metadata and journal are defined with. It stands with the checksums, and whoever encodes bytes may use it.
SHARED = {"checksum/xxhash.hpp"}

HEAVY = {"vector", "string", "functional", "mutex", "shared_mutex", "thread", "chrono", "atomic", "iostream", "ostream", "istream",
         "sstream", "fstream", "map", "set", "unordered_map", "unordered_set", "list", "deque", "regex", "filesystem",
         "condition_variable", "future", "format", "random", "stdexcept", "exception", "typeinfo", "cstdio", "stdio.h"}
SYSTEM = re.compile(r"^(sys/|linux/|asm/|netinet/|arpa/|unistd\.h|fcntl\.h|pthread\.h|semaphore\.h|sched\.h|signal\.h|errno\.h|cerrno|"
                    r"time\.h|ctime|windows\.h|winioctl\.h|io\.h|poll\.h|dirent\.h|csignal)")
HOSTED = {"hosted", "testing", "device"}


def folder_of(path):
    return path.split("/")[0] if "/" in path else ""


def check_own(path, target, headers):
    """Why `path` may not include our header `target`; None when it may."""
    if target not in headers:
        return "there is no such header"
    here, there = folder_of(path), folder_of(target)
    if path == target:
        return "a header includes itself"
    if here == there or target == "config.hpp" or target in SHARED and FLOORS[here] >= 1:
        pass
    elif FLOORS[here] == 2 and FLOORS[there] == 2:
        return f"{here}/ is an island: it includes floors 0 and 1 and itself"
    elif here == "relocation" and FLOORS[there] > 2:
        return "relocation/ sees floors 0 to 2 only"
    elif FLOORS[there] > FLOORS[here]:
        return f"floor {FLOORS[here]} looks up to floor {FLOORS[there]}"
    if path == "config.hpp":
        return "config.hpp includes nothing"
    for steps in STEPS:
        place = {step: number for number, step in enumerate(steps)}
        mine = place.get(path, place.get(here))
        other = place.get(target, place.get(there))
        if mine is not None and other is not None and other > mine:
            return f"{path} stands before {target}"
    return None


def check_foreign(path, target):
    """Why `path` may not include the system's or a library's header `target`; None when it may."""
    here = folder_of(path)
    if target == "xxhash.h":
        return None if path == "checksum/xxhash.hpp" else "only checksum/xxhash.hpp sees xxhash.h"
    if target.startswith("boost/"):
        allowed = target.startswith("boost/outcome/") and target not in ("boost/outcome.hpp", "boost/outcome/outcome.hpp")
        return None if allowed else "of Boost only the parts of Outcome are used, by their small headers"
    if target.startswith("range/v3/"):
        if target == "range/v3/all.hpp":
            return "range-v3 comes by single headers"
        return None if FLOORS[here] >= 4 else "range-v3 begins on floor 4"
    if here in HOSTED:
        return None
    if SYSTEM.match(target):
        return "a header of the operating system stands in device/, hosted/ or testing/ only"
    if target in HEAVY:
        return f"<{target}> is not for portable headers"
    return None


def includes_of(text):
    return [(kind, name) for kind, name in INCLUDE.findall(text)]


def own(name):
    return name[len("ashlar/"):] if name.startswith("ashlar/") else None


def find_cycle(headers):
    """A header that reaches itself, as a list; None where there is none."""
    done = set()

    def visit(path, trail):
        if path in trail:
            return trail[trail.index(path):] + [path]
        if path in done:
            return None
        for _, name in includes_of(headers[path]):
            if own(name) in headers:
                cycle = visit(own(name), trail + [path])
                if cycle:
                    return cycle
        done.add(path)
        return None

    for path in headers:
        cycle = visit(path, [])
        if cycle:
            return cycle
    return None


def check_front_door(headers):
    """The way from ashlar.hpp to each header that only a hosted system has."""
    problems, seen, open_ways = [], set(), [["ashlar.hpp"]]
    while open_ways:
        way = open_ways.pop()
        for _, name in includes_of(headers.get(way[-1], "")):
            target = own(name)
            if target is None:
                if SYSTEM.match(name) or (name in HEAVY and name != "exception"):
                    problems.append(" -> ".join(way + [f"<{name}>"]) + ": the front door reaches what a firmware lacks")
            elif target not in seen:
                seen.add(target)
                open_ways.append(way + [target])
    return problems


def check(headers):
    problems = []
    for path, text in sorted(headers.items()):
        if folder_of(path) not in FLOORS:
            problems.append(f"{path}: the folder stands on no floor")
            continue
        if not text.startswith("#pragma once"):
            problems.append(f"{path}: does not begin with #pragma once")
        for kind, name in includes_of(text):
            target = own(name)
            why = check_own(path, target, headers) if target is not None else check_foreign(path, name)
            if kind == '"':
                why = why or "headers are included with angle brackets, from the include folder"
            if why:
                problems.append(f"{path} includes <{name}>: {why}")
    cycle = find_cycle(headers)
    if cycle:
        problems.append("a cycle: " + " -> ".join(cycle))
    return problems + check_front_door(headers)


PLANTED = [
    ({"vocabulary/a.hpp": ["ashlar/volume/b.hpp"], "volume/b.hpp": []}, "looks up"),
    ({"journal/a.hpp": ["ashlar/device/b.hpp"], "device/b.hpp": []}, "is an island"),
    ({"relocation/a.hpp": ["ashlar/object/b.hpp"], "object/b.hpp": []}, "sees floors 0 to 2"),
    ({"volume/space.hpp": ["ashlar/volume/commit.hpp"], "volume/commit.hpp": []}, "stands before"),
    ({"concepts/a.hpp": ["ashlar/format/b.hpp"], "format/b.hpp": []}, "stands before"),
    ({"volume/a.hpp": ["vector"]}, "not for portable headers"),
    ({"volume/a.hpp": ["unistd.h"]}, "operating system"),
    ({"volume/a.hpp": ["xxhash.h"]}, "sees xxhash.h"),
    ({"volume/a.hpp": ["boost/outcome.hpp"]}, "of Boost only"),
    ({"volume/a.hpp": ["range/v3/view/zip.hpp"]}, "begins on floor 4"),
    ({"volume/a.hpp": ["ashlar/volume/b.hpp"], "volume/b.hpp": ["ashlar/volume/a.hpp"]}, "a cycle"),
    ({"ashlar.hpp": ["ashlar/device/a.hpp"], "device/a.hpp": ["fcntl.h"]}, "front door"),
    ({"volume/a.hpp": ["ashlar/volume/gone.hpp"]}, "no such header"),
]
ALLOWED = [
    {"format/a.hpp": ["ashlar/checksum/xxhash.hpp", "span"], "checksum/xxhash.hpp": ["xxhash.h"]},
    {"device/a.hpp": ["fcntl.h", "mutex"], "object/b.hpp": ["range/v3/view/zip.hpp"], "store.hpp": ["ashlar/object/b.hpp"]},
]


def self_test():
    def tree(sketch):
        return {path: "#pragma once\n" + "".join(f"#include <{name}>\n" for name in names) for path, names in sketch.items()}

    for sketch, expected in PLANTED:
        if not any(expected in problem for problem in check(tree(sketch))):
            sys.exit(f"layering.py is blind: {sketch} was not refused with '{expected}'")
    for sketch in ALLOWED:
        problems = check(tree(sketch))
        if problems:
            sys.exit(f"layering.py is too strict: {problems}")


def main():
    self_test()
    root = pathlib.Path(__file__).resolve().parents[2] / "include" / "ashlar"
    headers = {path.relative_to(root).as_posix(): path.read_text() for path in root.rglob("*.hpp")}
    problems = check(headers)
    for problem in problems:
        print(problem)
    print(f"{len(headers)} headers, {len(problems)} problems")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
