#!/usr/bin/env python3
"""Kills the example engine while it writes and moves, opens it again, and compares what is there with what it said.

usage: kill_test.py PROGRAM [KILLS]

The program says each change before it makes it, and each sync when it has returned. So what may be found is the state
after some number of the announced changes: at least those before the last sync, each of them whole.
"""

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "own_engine"
DATA_BLOCKS = 4096 - 2 * 4096 // 32
PAYLOAD = 4096 - 24


def fail(why):
    print(f"kill_test: {why}")
    sys.exit(1)


def check_includes():
    """The engine is nobody's but its own: of ashlar it sees one header, and that in one place."""
    seen = [(path.name, line) for path in sorted(EXAMPLE.glob("*.?pp")) for line in path.read_text().splitlines()
            if line.lstrip().startswith("#include") and "ashlar" in line]
    if seen != [("movable_log.hpp", "#include <ashlar/maintenance/defragmenter.hpp>")]:
        fail(f"the example includes more of ashlar than the defragmenter: {seen}")
    for name in ("block_file.hpp", "free_space.hpp", "index_log.hpp", "value.hpp", "value_log.hpp"):
        if "ashlar::" in (EXAMPLE / name).read_text():
            fail(f"{name} uses ashlar, though it is the engine's own")


def lines_of(text):
    """Words and numbers of each whole line."""
    return [(words[0], [int(word) for word in words[1:]]) for words in map(str.split, text.split("\n")[:-1])]


def ask(program, path, what):
    done = subprocess.run([program, path, what], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        fail(f"'{what}' answers {done.returncode} after a kill")
    return lines_of(done.stdout)


def values_of(lines):
    return {numbers[0]: (numbers[1], numbers[2]) for word, numbers in lines if word == "value"}


def possible_states(before, lines):
    """The states that a kill may leave, oldest first."""
    changes, synced, syncing = [], 0, 0
    for word, numbers in lines:
        if word == "value":
            changes.append((numbers[0], (numbers[1], numbers[2])))
        elif word == "erase":
            changes.append((numbers[0], None))
        elif word == "refused":
            changes.pop()
        elif word == "syncing":
            syncing = len(changes)
        elif word == "synced":
            synced = syncing
        elif word == "failed":
            fail(f"the defragmenter met error {numbers[0]}")
    state, states = dict(before), []
    for at in range(len(changes) + 1):
        if at >= synced:
            states.append(dict(state))
        if at < len(changes):
            key, value = changes[at]
            state.pop(key, None)
            if value:
                state[key] = value
    return states


def self_test():
    lines = lines_of("value 1 10 99\nsyncing 0 0 0\nsynced 0 0 0\nerase 1 0 0\nvalue 2 11 50\nval")
    if possible_states({}, lines) != [{1: (10, 99)}, {}, {2: (11, 50)}]:
        fail("the model of the history is wrong")


def kill_once(program, path, seed, seconds):
    """What the program said until it was killed."""
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen([program, path, "work", str(seed)], stdout=said) as process:
            time.sleep(seconds)
            process.kill()
            if process.wait() != -9:
                fail(f"it ended by itself with {process.returncode}")
        said.seek(0)
        return lines_of(said.read())


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    program, kills = sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 30
    check_includes()
    self_test()
    with tempfile.TemporaryDirectory(prefix="own-engine-") as folder:
        path = str(Path(folder) / "values.log")
        state, done, moves, syncs, amid = {}, 0, 0, 0, 0
        for seed in range(1, 4 * kills + 1):  # more than asked for only where a slow disk let nothing happen
            if seed > kills and amid and moves and syncs:
                break
            lines = kill_once(program, path, seed, random.uniform(0.01, 0.15))
            states = possible_states(state, lines)
            if not lines and not state:
                continue  # killed before there was an engine in the file
            done += 1
            state = values_of(ask(program, path, "check"))
            if state not in states:
                fail(f"kill {seed}: {state} is none of the {len(states)} states that were possible")
            flips = [numbers[0] for word, numbers in lines if word in ("copying", "copied")]
            steps = [word for word, _ in lines if word in ("copying", "copied")]
            moves += max(flips, default=0)
            syncs += sum(word == "synced" for word, _ in lines)
            amid += steps[-1:] == ["copying"]
        if not state:
            fail("there is nothing to put together")
        ask(program, path, "tidy")
        lines = ask(program, path, "check")
        if values_of(lines) != state:
            fail("defragmenting to the end changed a value")
        pieces = {numbers[0]: numbers[1] for word, numbers in lines if word == "pieces"}
        if max(pieces.values()) > 1:
            fail(f"values still lie in pieces: {pieces}")
        free = [numbers[0] for word, numbers in lines if word == "free"]
        if free != [DATA_BLOCKS - sum((size + PAYLOAD - 1) // PAYLOAD for _, size in state.values())]:
            fail(f"{free} blocks are free, which is not what the values leave")
    print(f"{done} kills, {amid} of them while a move was under way; {syncs} syncs, {moves} moves; "
          f"{len(state)} values right")
    if amid == 0 or moves == 0 or syncs == 0:
        fail("no kill met a move, or nothing was ever moved or synced")


if __name__ == "__main__":
    main()
