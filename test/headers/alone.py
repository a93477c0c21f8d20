#!/usr/bin/env python3
"""Compiles each header alone, as the only include of a file, with the compiler and the flags given.

usage: alone.py [--portable] [--include FOLDER] [--only REGEX] COMPILER [FLAG...]

--portable leaves out what needs an operating system or the parts of the standard library that a firmware lacks:
hosted/, testing/, and those devices that reach a system's header.
"""
import argparse
import concurrent.futures
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "test" / "layering"))
import layering  # noqa: E402

WARNINGS = ["-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror"]


def is_portable(path, headers, known):
    if path not in known:
        known[path] = False
        needs_host = layering.folder_of(path) in {"hosted", "testing"} or path not in headers
        for _, name in layering.includes_of(headers.get(path, "")):
            target = layering.own(name)
            needs_host = needs_host or (not is_portable(target, headers, known) if target else
                                        bool(layering.SYSTEM.match(name)) or name in layering.HEAVY)
        known[path] = not needs_host
    return known[path]


def compile_alone(path, command):
    text = f"#include <ashlar/{path}>\n#include <ashlar/{path}>\n"
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    return path, done.returncode, done.stderr


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--portable", action="store_true")
    parser.add_argument("--include", action="append", default=[], help="a folder with the libraries' headers")
    parser.add_argument("--only", default="", help="only headers whose path matches")
    parser.add_argument("compiler")
    options, flags = parser.parse_known_args()

    headers = {path.relative_to(ROOT / "include/ashlar").as_posix(): path.read_text()
               for path in (ROOT / "include/ashlar").rglob("*.hpp")}
    known = {}
    chosen = [path for path in sorted(headers)
              if re.search(options.only, path) and (not options.portable or is_portable(path, headers, known))]
    command = [options.compiler, "-std=c++20", "-fsyntax-only", *WARNINGS, *flags, "-I", str(ROOT / "include"),
               *(part for folder in options.include for part in ("-isystem", folder)), "-x", "c++", "-"]
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        for path, status, output in pool.map(lambda path: compile_alone(path, command), chosen):
            if status != 0:
                failed += 1
                print(f"{path} does not compile alone:\n" + "\n".join(output.splitlines()[:20]))
    print(f"{options.compiler} {' '.join(flags)}: {len(chosen)} headers alone, {failed} failed")
    sys.exit(1 if failed or not chosen else 0)


if __name__ == "__main__":
    main()
