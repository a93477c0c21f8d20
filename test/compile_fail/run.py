#!/usr/bin/env python3
"""Compiles each .cpp beside it; each must be refused, and the reason must stand near the top of what the compiler says.

A case holds one line `// expect: SENTENCE` for each sentence that must appear within the first lines of the error output.
A case whose name begins with `accepts_` is the counterpart: it must compile. Without it, a refusal could come from a
mistake in the harness.

usage: run.py COMPILER [FLAG...]
"""
import pathlib
import re
import subprocess
import sys

LINES_READ = 12
FOLDER = pathlib.Path(__file__).resolve().parent
INCLUDE = FOLDER.parents[1] / "include"


def compile_case(compiler, flags, case):
    command = [compiler, "-std=c++20", "-fsyntax-only", "-fno-diagnostics-color", f"-I{INCLUDE}", f"-I{FOLDER}", *flags, str(case)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr.replace("‘", "'").replace("’", "'")


def said(output):
    """The lines of the message itself: which header came from which is left out."""
    return [line for line in output.splitlines() if not re.match(r"^(In file included from| +from) ", line)]


def judge(case, status, output):
    """What is wrong with the compiler's answer; None when it is as it should be."""
    if case.name.startswith("accepts_"):
        return None if status == 0 else "must compile, but:\n" + "\n".join(said(output)[:LINES_READ])
    expected = re.findall(r"^// expect: (.+)$", case.read_text(), re.MULTILINE)
    if not expected:
        return "has no line '// expect: ...'"
    if status == 0:
        return "compiles, but must be refused"
    top = "\n".join(said(output)[:LINES_READ])
    missing = [sentence for sentence in expected if sentence not in top]
    if missing:
        return f"is refused without saying {missing} in the first {LINES_READ} lines:\n{top}"
    return None


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    compiler, flags = sys.argv[1], sys.argv[2:]
    cases = sorted(FOLDER.glob("*.cpp"))
    failed = 0
    for case in cases:
        problem = judge(case, *compile_case(compiler, flags, case))
        print(f"{'FAILED' if problem else 'ok':6} {case.name}")
        if problem:
            print(problem)
            failed += 1
    print(f"{compiler}: {len(cases)} cases, {failed} failed")
    sys.exit(1 if failed or not cases else 0)


if __name__ == "__main__":
    main()
