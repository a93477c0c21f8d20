#!/usr/bin/env python3
"""Builds a small program against ashlar in the two ways that CMake users have: as a subproject, and as an installed package."""
import argparse
import pathlib
import shutil
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]


def run(*command):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n{done.stdout}{done.stderr}")


def build_and_run(options, source, build, *settings):
    run(options.cmake, "-G", "Ninja", "-S", source, "-B", build, f"-DCMAKE_CXX_COMPILER={options.compiler}",
        "-DCMAKE_BUILD_TYPE=Debug", *settings)
    run(options.cmake, "--build", build, "-j", "2")
    run(build / "consumer")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cmake", default="cmake")
    parser.add_argument("--compiler", default="g++")
    parser.add_argument("--work", type=pathlib.Path, required=True)
    options = parser.parse_args()
    work = options.work.resolve()
    shutil.rmtree(work, ignore_errors=True)

    build_and_run(options, FOLDER / "subproject", work / "subproject", f"-DASHLAR_SOURCE={ROOT}")
    print("as a subproject: built and run")

    run(options.cmake, "-G", "Ninja", "-S", ROOT, "-B", work / "library", f"-DCMAKE_CXX_COMPILER={options.compiler}",
        "-DASHLAR_TESTS=OFF", "-DASHLAR_EXAMPLES=OFF", f"-DCMAKE_INSTALL_PREFIX={work / 'prefix'}")
    run(options.cmake, "--install", work / "library")
    installed = {path.relative_to(work / "prefix" / "include").as_posix() for path in (work / "prefix").rglob("*.hpp")}
    headers = {path.relative_to(ROOT / "include").as_posix() for path in (ROOT / "include").rglob("*.hpp")}
    if installed != headers:
        sys.exit(f"installed and own headers differ: {sorted(installed ^ headers)}")
    # The installed tree is moved first: a package that remembers where it was made would fail here.
    (work / "prefix").rename(work / "moved")
    build_and_run(options, FOLDER / "package", work / "package", f"-DCMAKE_PREFIX_PATH={work / 'moved'}")
    print(f"as an installed package: {len(installed)} headers, built and run")


if __name__ == "__main__":
    main()
