#!/usr/bin/env python3
"""Compiles the C++ of README.md and docs/testing.md, so that what they show is what the library takes.

A block that begins with an #include stands alone. A block without one goes on from the block before it.

usage: run.py COMPILER [FLAG...]
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = ["README.md", "docs/testing.md"]
FLAGS = ["-std=c++20", "-fsyntax-only", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", f"-I{ROOT / 'include'}"]


def programs(text):
    """Pairs of the line where a block begins and the program that it is part of."""
    program = ""
    for match in re.finditer(r"^```cpp\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        program = match[1] if match[1].lstrip().startswith("#include") else program + "\n" + match[1]
        yield text.count("\n", 0, match.start()) + 2, program


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    failed = count = 0
    for page in PAGES:
        for line, program in programs((ROOT / page).read_text()):
            count += 1
            done = subprocess.run([sys.argv[1], *FLAGS, *sys.argv[2:], "-x", "c++", "-"], input=program, capture_output=True,
                                  text=True, check=False)
            if done.returncode != 0:
                failed += 1
                print(f"{page}:{line}: the block does not compile:\n" + "\n".join(done.stderr.splitlines()[:20]))
    print(f"{', '.join(PAGES)}: {count} blocks, {failed} failed")
    sys.exit(1 if failed or count == 0 else 0)


if __name__ == "__main__":
    main()
