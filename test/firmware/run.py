#!/usr/bin/env python3
"""Links a firmware image for a Cortex-M4 and proves what it does without: a heap, exceptions, 64-bit division, printf.

Prints the size of the code, the RAM and the deepest stack; fails when a forbidden symbol is in the image, when the call
graph has a cycle, or when a bound given is exceeded. Calls through a pointer are named: their stack is not counted.

usage: run.py [--work FOLDER] [--text-max BYTES] [--ram-max BYTES] [--stack-max BYTES]
"""
import argparse
import pathlib
import re
import shutil
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parents[1]
LIBRARIES = ["boost", "range", "concepts", "meta", "std", "xxhash.h"]  # range-v3 stands in the four folders in the middle.
CPU = ["-mcpu=cortex-m4", "-mthumb"]
FLAGS = ["-std=c++20", "-Os", *CPU, "-fno-exceptions", "-fno-rtti", "-ffunction-sections", "-fdata-sections",
         "-fno-threadsafe-statics", "-DNDEBUG", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror", "-fcallgraph-info=su"]
FORBIDDEN = re.compile(r"^(malloc|free|calloc|realloc|_malloc_r|_free_r|_Znw|_Zna|_Zdl|_Zda|.*printf|_sbrk|__cxa_(throw|allocate)"
                       r"|__gxx_personality|__aeabi_(u?ldivmod|unwind)|__u?(div|mod)di3|__atomic_.*_8|__sync_.*_8|_Unwind)")


def run(*command, check=True):
    done = subprocess.run([str(part) for part in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if check and done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}\n" + "\n".join((done.stdout + done.stderr).splitlines()[:30]))
    return done.stdout


def link_libraries(folder):
    """The host's header-only libraries in a folder of their own: the host's C library must not be seen by the cross compiler."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in LIBRARIES:
        for place in (pathlib.Path("/usr/local/include"), pathlib.Path("/usr/include")):
            if (place / name).exists():
                (folder / name).symlink_to(place / name)
                break
        else:
            if name != "std":
                sys.exit(f"no {name} was found in /usr/include")


def build(work):
    objects = []
    for source in ("main.cpp", "startup.cpp"):
        target = work / source.replace(".cpp", ".o")
        run("arm-none-eabi-g++", *FLAGS, "-I", ROOT / "include", "-isystem", work / "include", "-c", FOLDER / source, "-o", target)
        objects.append(target)
    image = work / "image.elf"
    run("arm-none-eabi-g++", *CPU, "-nostartfiles", "--specs=nano.specs", "-Wl,--gc-sections", "-T", FOLDER / "image.ld",
        *objects, "-o", image)
    return image


def read_graph(paths, linked):
    """Stack bytes of each function, and whom it calls, from the compiler's call graphs. Only what was linked counts."""
    bytes_of, calls = {}, {}
    for path in paths:
        text = path.read_text()
        for title, label in re.findall(r'node: \{ title: "([^"]+)" label: "([^"]*)"', text):
            size = re.search(r"(\d+) bytes \((\w+)", label)
            if size and title.split(":")[-1] in linked:
                bytes_of[title] = int(size[1])
                if size[2] != "static":
                    sys.exit(f"the stack of {title} is not static: {label}")
        for source, target in re.findall(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"', text):
            calls.setdefault(source, set()).add(target)
    return bytes_of, calls


hidden = set()  # Functions that call through a pointer.


def deepest(name, bytes_of, calls, trail, known):
    if name in trail:
        sys.exit("the call graph has a cycle: " + " -> ".join(trail + [name]))
    if name == "__indirect_call":
        hidden.add(trail[-1])
        return 0, []
    if name not in known:
        below = [deepest(target, bytes_of, calls, trail + [name], known) for target in calls.get(name, ())]
        best = max(below, default=(0, []))
        known[name] = (bytes_of.get(name, 0) + best[0], [name] + best[1])
    return known[name]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=pathlib.Path, default=ROOT / "build" / "firmware")
    for bound in ("text", "ram", "stack"):
        parser.add_argument(f"--{bound}-max", type=int, default=0)
    options = parser.parse_args()
    work = options.work.resolve()
    link_libraries(work / "include")
    image = build(work)

    symbols = [line.split()[-1] for line in run("arm-none-eabi-nm", image).splitlines()]
    found = sorted(name for name in symbols if FORBIDDEN.match(name))
    text, data, bss = map(int, run("arm-none-eabi-size", image).splitlines()[1].split()[:3])
    bytes_of, calls = read_graph(sorted(work.glob("*.ci")), set(symbols))
    stack, way = deepest("main", bytes_of, calls, [], {})

    print(f"code {text} bytes, RAM {data + bss} bytes, deepest stack {stack} bytes (without newlib's memory functions)")
    print("the deepest way:")
    for name in way:
        plain = run("arm-none-eabi-c++filt", name.split(":")[-1]).strip()
        print(f"  {bytes_of.get(name, 0):5} {plain[:150]}")
    for name in sorted(hidden):
        print("  not counted: a call through a pointer in " + run("arm-none-eabi-c++filt", name.split(":")[-1]).strip()[:120])
    problems = [f"the image holds {name}" for name in found]
    for what, value, bound in (("code", text, options.text_max), ("RAM", data + bss, options.ram_max),
                               ("stack", stack, options.stack_max)):
        if bound and value > bound:
            problems.append(f"{what}: {value} bytes, allowed {bound}")
    for problem in problems:
        print(problem)
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
