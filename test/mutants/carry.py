#!/usr/bin/env python3
"""Carries the patches over a change of form: `./run format` calls it, so that formatting does not cut the mutants off.

usage: carry.py OLD

OLD is include/ as it was when the patches applied. Each patch is applied to a copy of it, the copy is formatted, and what
it differs in from include/ as it is now becomes the patch. A patch that does not apply to OLD stays and is named.
"""
import difflib
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]


def header_of(text):
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))


def carried(patch, old, work):
    """The patch against the present include/; None where it does not apply to the old one."""
    text = patch.read_text()
    shutil.copytree(old, work / "include")
    done = subprocess.run(["git", "apply", "-p1", str(patch)], cwd=work, capture_output=True, check=False,
                          env={"GIT_CEILING_DIRECTORIES": str(work.parent), "PATH": "/usr/local/bin:/usr/bin:/bin"})
    if done.returncode != 0:
        return None
    result = header_of(text)
    for name in re.findall(r"^\+\+\+ b/(\S+)$", text, re.MULTILINE):
        shutil.copy(ROOT / ".clang-format", work)
        subprocess.run(["clang-format", "-i", str(work / name)], check=True)
        before, after = ((folder / name).read_text().splitlines(keepends=True) for folder in (ROOT, work))
        result += "".join(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}", n=2))
    return result


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    for patch in sorted(FOLDER.glob("*.patch")):
        with tempfile.TemporaryDirectory() as work:
            text = carried(patch, pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(work))
        if text is None:
            print(f"{patch.name} does not apply and stays as it is")
        elif text != patch.read_text():
            patch.write_text(text)
            print(f"{patch.name} follows the new form")


if __name__ == "__main__":
    main()
