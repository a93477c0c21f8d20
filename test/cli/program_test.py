#!/usr/bin/env python3
"""Runs the built program as a user would: exit codes, documents, bad input, interrupted and killed commands.

usage: program_test.py PROGRAM [unittest options]
"""

import fcntl
import json
import os
import random
import resource
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

PROGRAM = Path()
NOBODY = 65534
MEBIBYTE = 1 << 20


def run(*words, **options):
    """Runs the program to its end; output as text."""
    return subprocess.run([str(PROGRAM), *map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="surrogateescape",
                          check=False, timeout=120, **options)


def picture(folder):
    """Everything about a tree that must come back: kind, mode, times, target, bytes, and which names are one file."""
    seen, links = {}, {}
    for top, folders, files in os.walk(os.fsencode(folder)):
        for name in [b"."] + folders + files:
            path = os.path.normpath(os.path.join(top, name))
            about = os.lstat(path)
            key = os.path.relpath(path, os.fsencode(folder))
            data = b""
            if stat.S_ISLNK(about.st_mode):
                data = os.readlink(path)
            elif stat.S_ISREG(about.st_mode):
                data = Path(os.fsdecode(path)).read_bytes()
                links.setdefault(about.st_ino, set()).add(key)
            seen[key] = (about.st_mode, about.st_mtime_ns, data)
    return seen, sorted(sorted(names) for names in links.values())


def xxh64(data, seed):
    """XXH64, which seals metadata."""
    primes = (11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261)
    mask = (1 << 64) - 1
    turn = lambda value, bits: (value << bits | value >> (64 - bits)) & mask
    mix = lambda lane, word: turn((lane + word * primes[1]) & mask, 31) * primes[0] & mask
    word_at = lambda at, size: int.from_bytes(data[at:at + size], "little")
    lanes = [(seed + primes[0] + primes[1]) & mask, (seed + primes[1]) & mask, seed, (seed - primes[0]) & mask]
    at = len(data) // 32 * 32
    for place in range(0, at, 8):
        lanes[place // 8 % 4] = mix(lanes[place // 8 % 4], word_at(place, 8))
    made = (seed + primes[4]) & mask
    if at:
        made = sum(turn(lane, bits) for lane, bits in zip(lanes, (1, 7, 12, 18))) & mask
        for lane in lanes:
            made = ((made ^ mix(0, lane)) * primes[0] + primes[3]) & mask
    made = (made + len(data)) & mask
    while at + 8 <= len(data):
        made, at = (turn(made ^ mix(0, word_at(at, 8)), 27) * primes[0] + primes[3]) & mask, at + 8
    if at + 4 <= len(data):
        made, at = (turn(made ^ word_at(at, 4) * primes[0] & mask, 23) * primes[1] + primes[2]) & mask, at + 4
    for byte in data[at:]:
        made = turn(made ^ byte * primes[4] & mask, 11) * primes[0] & mask
    made = (made ^ made >> 33) * primes[1] & mask
    made = (made ^ made >> 29) * primes[2] & mask
    return made ^ made >> 32


def add_feature(volume, bit, width):
    """What a program that uses features leaves in both superblocks; no command of this one adds any."""
    with open(volume, "r+b") as image:
        for frame in (0, 4):
            image.seek(frame * 4096)
            content = bytearray(image.read(4096))
            content[128:132] = (1 << bit).to_bytes(4, "little")
            content[1792 + 16 * bit:1792 + 16 * bit + 4] = bytes(2) + width.to_bytes(2, "little")
            seed = xxh64(bytes(16) + content[-16:-12] + bytes(16), 0)
            content[-8:] = xxh64(bytes(content[:-8]), seed).to_bytes(8, "little")
            image.seek(frame * 4096)
            image.write(content)


def can_inject():
    """Whether strace is here and may trace: then a sync of the program can fail, or be its end."""
    return shutil.which("strace") is not None and subprocess.run(["strace", "-o", os.devnull, "true"], check=False, capture_output=True).returncode == 0


def run_with_sync(fault, number, *words):
    """Runs the program; the sync of that number does `fault`, in strace's words."""
    syncs = "fsync,fdatasync"
    return subprocess.run(["strace", "-f", "-o", os.devnull, "-e", f"trace={syncs}", "-e", f"inject={syncs}:{fault}:when={number}", str(PROGRAM), *map(str, words)],
                          env=os.environ | {"ASAN_OPTIONS": "detect_leaks=0"}, capture_output=True, text=True, check=False, timeout=120)


class ProgramTest(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="ashlar-test-"))
        self.folder.chmod(0o755)
        self.volume = self.folder / "volume.ash"

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def expect(self, code, *words, **options):
        done = run(*words, **options)
        self.assertEqual(done.returncode, code, f"{words}\n{done.stdout}\n{done.stderr}")
        if code not in (0, 4):
            lines = [line for line in done.stderr.splitlines() if not line.startswith(("ashlar: warning:", "import [", "age [", "defragment [", "compact [", "copy [", "migrate-records [", "shrink [", "evacuate ["))]
            self.assertEqual(len(lines), 1, f"an error is one line: {done.stderr}")
            self.assertTrue(lines[0].startswith("ashlar: "), lines)
        return done

    def document(self, *words):
        done = self.expect(0, *words, "--json")
        return json.loads(done.stdout)

    def format(self, size=64 * MEBIBYTE, block=1024):
        self.expect(0, "format", self.volume, "--size", size, "--block", block, "--quiet")

    def make_tree(self, name="tree", files=200, seed=1):
        """Files of many sizes in a few folders; the same for the same seed."""
        numbers = random.Random(seed)
        top = self.folder / name
        for index in range(files):
            place = top / f"folder{index % 7}"
            place.mkdir(parents=True, exist_ok=True)
            (place / f"file{index}").write_bytes(numbers.randbytes(numbers.choice((0, 1, 700, 5000, 20000, 60000))))
        return top

    def export_and_compare(self, source, name="out"):
        target = self.folder / name
        shutil.rmtree(target, ignore_errors=True)
        self.expect(0, "export", self.volume, target)
        (seen, links), (wanted, wanted_links) = picture(target), picture(source)
        self.assertEqual(sorted(seen), sorted(wanted))
        self.assertEqual([name for name in wanted if seen[name] != wanted[name]], [])
        self.assertEqual(links, wanted_links)


class Trees(ProgramTest):
    def test_everything_about_a_tree_comes_back(self):
        top = self.make_tree(files=30)
        (top / os.fsdecode(b"not\xffutf8")).write_bytes(b"x")
        (top / "gr\u00fcn \u2603").write_bytes(b"y")
        (top / "with\nnewline\\and backslash").write_bytes(b"z")
        (top / "empty folder").mkdir()
        os.symlink("../no where", top / "dangling")
        with open(top / "sparse", "wb") as sparse:
            sparse.truncate(9 * MEBIBYTE)
            sparse.seek(5 * MEBIBYTE + 17)
            sparse.write(b"in the middle")
        (top / "large").write_bytes(random.Random(3).randbytes(3 * MEBIBYTE + 1))
        os.link(top / "large", top / "hard link")
        (top / "folder2" / "file2").chmod(0o4711)
        (top / "empty folder").chmod(0o1777)
        os.utime(top / "dangling", ns=(1, 123456789), follow_symlinks=False)
        os.utime(top / "large", ns=(1, -5 * 10**9 + 7))
        os.utime(top / "empty folder", ns=(1, 981173106789012345))
        self.format()
        self.expect(0, "import", self.volume, top)
        self.export_and_compare(top)
        self.expect(0, "verify", self.volume)
        self.assertLess(self.document("info", self.volume)["blocks"] - self.document("info", self.volume)["free_blocks"], 12 * 1024,
                        "holes of a sparse file take no blocks")

    def test_names_are_listed_so_that_nothing_is_lost_or_moves_the_cursor(self):
        top = self.folder / "tree"
        top.mkdir()
        (top / os.fsdecode(b"a\xff\x1b[2Jb")).write_bytes(b"x")
        self.format()
        self.expect(0, "import", self.volume, top)
        self.assertIn("a\\xff\\x1b[2Jb", self.expect(0, "ls", self.volume).stdout)
        entry = self.document("ls", self.volume)["entries"][1]
        self.assertEqual((entry["path"], entry["path_hex"]), ("a\\xff\\x1b[2Jb", b"a\xff\x1b[2Jb".hex()))

    def test_second_import_adds_and_replaces(self):
        first, second = self.make_tree("first", files=20, seed=1), self.make_tree("second", files=30, seed=2)
        self.format()
        self.expect(0, "import", self.volume, first)
        self.assertEqual(self.document("import", self.volume, second)["replaced"], 20)
        self.export_and_compare(second)
        used = self.document("info", self.volume)
        self.expect(0, "import", self.volume, second)
        self.assertEqual(self.document("info", self.volume)["objects"], used["objects"], "what was replaced is erased")

    def test_folder_and_file_of_one_name_are_refused(self):
        first, second = self.folder / "first", self.folder / "second"
        (first / "name").mkdir(parents=True)
        second.mkdir()
        (second / "name").write_bytes(b"x")
        self.format()
        self.expect(0, "import", self.volume, first)
        self.assertIn("'name'", self.expect(1, "import", self.volume, second).stderr)
        self.export_and_compare(first)

    def test_export_overwrites_nothing_unless_told(self):
        top = self.make_tree(files=5)
        self.format()
        self.expect(0, "import", self.volume, top)
        out = self.folder / "out"
        (out / "folder1").mkdir(parents=True)
        (out / "folder1" / "file1").write_bytes(b"mine")
        self.assertIn("folder1/file1", self.expect(1, "export", self.volume, out).stderr)
        self.assertEqual(sorted(os.listdir(out)), ["folder1"], "nothing was written")
        self.expect(0, "export", self.volume, out, "--force")
        self.assertEqual(picture(top), picture(out))

    def test_export_does_not_follow_a_symbolic_link_out_of_its_folder(self):
        top = self.make_tree(files=5)
        self.format()
        self.expect(0, "import", self.volume, top)
        out, outside = self.folder / "out", self.folder / "outside"
        out.mkdir()
        outside.mkdir()
        os.symlink(outside, out / "folder1")
        self.assertNotEqual(run("export", self.volume, out, "--force").returncode, 0)
        self.assertEqual(os.listdir(outside), [])

    def test_listing_one_folder(self):
        self.format()
        self.expect(0, "import", self.volume, self.make_tree(files=14))
        paths = [entry["path"] for entry in self.document("ls", self.volume, "folder3/")["entries"]]
        self.assertEqual(paths, ["folder3", "folder3/file10", "folder3/file3"])
        self.expect(3, "ls", self.volume, "folder33")


class Documents(ProgramTest):
    def test_every_command_answers_one_document_with_its_schema(self):
        top = self.make_tree(files=60)
        for command, words in (("format", ("--size", "64M", "--block", "1K")), ("import", (top,)), ("ls", ()), ("info", ()), ("verify", ()), ("dump", (0,)),
                               ("age", ("--seed", 1, "--until", "0.3")), ("defrag-analyze", ()), ("defrag-start", ("--dry-run",)),
                               ("defrag-start", ("--intensity", "high")), ("export", (self.folder / "out",)), ("regions", ()),
                               ("region-add", ("LOGS", "1M", "--dry-run")), ("region-add", ("LOGS", "1M")), ("region-write", ("LOGS", 0, "/dev/null")),
                               ("region-read", ("LOGS", 0, self.folder / "bytes")), ("region-pin", ("LOGS", 0)), ("region-pin", ("LOGS", 0, "--off")),
                               ("compact", ("--dry-run",)), ("compact", ("--region", "LOGS:0")), ("migrate-records", ("--width", 160, "--dry-run")), ("migrate-records", ("--width", 160)), ("evacuate", ("--from", 40000, "--dry-run")),
                               ("evacuate", ("--from", 40000, "--to", 50000)), ("copy", (self.folder / "copy.ash", "--dry-run")),
                               ("copy", (self.folder / "copy.ash",)), ("region-remove", ("LOGS", 0))):
            document = self.document(command, self.volume, *words)
            self.assertEqual(document["schema"], f"ashlar.{command}/1")
            self.assertEqual(document["volume"], str(self.volume))

    def test_an_error_is_a_document_too(self):
        for words in (("info", self.volume), ("age", self.volume, "--seed", "1"), ("nothing",)):
            done = run(*words, "--json")
            document = json.loads(done.stdout)
            self.assertEqual(document["schema"], "ashlar.error/1")
            self.assertEqual(document["exit_code"], done.returncode)
            self.assertEqual(len(done.stderr.splitlines()), 1)

    def test_a_pipe_gets_no_colours_and_quiet_says_nothing(self):
        self.assertEqual(run("format", self.volume, "--size", "64M", "--quiet").stdout, "")
        done = self.expect(0, "defrag-analyze", self.volume, env={**os.environ, "TERM": "xterm"})
        self.assertNotIn("\033", done.stdout + done.stderr)

    def test_help_and_version_are_answers(self):
        self.assertIn("130 interrupted", self.expect(0, "--help").stdout)
        self.assertIn("--until", self.expect(0, "age", "--help").stdout)
        self.assertRegex(self.expect(0, "--version").stdout, r"^ashlar \d+\.\d+\.\d+\n$")


class WrongCommandLines(ProgramTest):
    def test_each_ends_with_code_2_and_touches_nothing(self):
        self.format()
        before, other = self.volume.read_bytes(), self.folder / "other.ash"
        for words in ((), ("nonsense",), ("format",), ("format", self.volume, "--size", "12X"), ("format", self.volume, "--size", "0"),
                      ("format", self.volume, "--size", "-5"), ("format", self.volume, "--size", "64M", "--block", "1000"),
                      ("format", self.volume, "--force", "--size", "64M", "--block", "128K"), ("format", self.volume, "--force", "--size", "67108865"),
                      ("age", self.volume, "--seed", "1", "--until", "1.5"), ("age", self.volume, "--seed", "1", "--until", "nan"),
                      ("age", self.volume, "--seed", "x", "--until", "0.5"), ("age", self.volume, "--until", "0.5"),
                      ("defrag-start", self.volume, "--intensity", "brutal"), ("defrag-start", self.volume, "--rate", "fast"),
                      ("defrag-analyze", self.volume, "--extents-min", "1"), ("dump", self.volume), ("dump", self.volume, "-1"),
                      ("dump", self.volume, "99999999"), ("info", self.volume, "--unknown"), ("info", ""),
                      ("import", self.volume, ""), ("export", self.volume, ""), ("regions", self.volume, "--columns", "501"),
                      ("region-add", self.volume, "LOGS"), ("region-add", self.volume, "LOGS", "0"), ("region-add", self.volume, "LOGS", "1537"),
                      ("region-add", self.volume, "LOGS", "100"), ("region-add", self.volume, "LOGS", "18446744073709551615"),
                      ("region-add", self.volume, "COPY", "1M"), ("region-add", self.volume, "JRNL", "1M"), ("region-add", self.volume, "LOG", "1M"), ("region-remove", self.volume, "OBJT", "0"),
                      ("region-remove", self.volume, "LOGS"), ("region-remove", self.volume, "LOGS", "x"), ("region-remove", self.volume, "LOGS", "4294967296"),
                      ("region-pin", self.volume, "LOGS", "-1"), ("region-read", self.volume, "LOGS", "0", "--json"),
                      ("shrink", self.volume, "--to", "100"), ("shrink", self.volume, "--to", "40000001"), ("grow", self.volume, "--to", "100"),
                      ("grow", self.volume, "--to", "80000001"), ("grow", self.volume, "--to", "80000001", "--dry-run"),
                      ("compact", self.volume, "--region", "COPY:0"), ("compact", self.volume, "--region", "LOGS"), ("compact", self.volume, "--region", "JRNL:0"), ("compact", self.volume, "--rate", "0"),
                      ("evacuate", self.volume), ("evacuate", self.volume, "--from", "7", "--to", "7"), ("evacuate", self.volume, "--from", "65536"),
                      ("evacuate", self.volume, "--from", "0", "--to", "65537"), ("evacuate", self.volume, "--from", "-1"),
                      ("copy", self.volume), ("copy", self.volume, ""), ("copy", self.volume, self.volume), ("copy", self.volume, other, "--size", "1537"),
                      ("copy", self.volume, other, "--size", "0"), ("copy", self.volume, other, "--record-bytes", "104"),
                      ("copy", self.volume, other, "--record-bytes", "130"), ("copy", self.volume, other, "--record-bytes", "264"),
                      ("copy", self.volume, other, "--size", "8K"), ("migrate-records", self.volume), ("migrate-records", self.volume, "--width", "104"),
                      ("migrate-records", self.volume, "--width", "140"), ("migrate-records", self.volume, "--width", "264"),
                      ("migrate-records", self.volume, "--width", "160", "--cancel"), ("migrate-records", self.volume, "--cancel", "--dry-run"),
                      ("migrate-records", self.volume, "--width", "160", "--rate", "0")):
            self.expect(2, *words)
        self.assertEqual(self.volume.read_bytes(), before)
        self.assertFalse(other.exists())

    def test_the_mark_of_an_unfinished_copy_is_no_region_to_add(self):
        self.format()
        self.assertIn("marks a volume as an unfinished copy", self.expect(2, "region-add", self.volume, "COPY", "1M").stderr)
        self.expect(0, "ls", self.volume)

    def test_a_size_that_is_no_whole_blocks_is_said_with_those_next_to_it(self):
        self.format()
        for command in ("shrink", "grow"):
            self.assertIn("use 49999872 or 50000896", self.expect(2, command, self.volume, "--to", "50000000").stderr)
            self.assertIn("use 1024", self.expect(2, command, self.volume, "--to", "512").stderr)


class Formatting(ProgramTest):
    def test_foreign_file_systems_are_named_and_kept(self):
        for name, offset, mark in (("ext4", 1080, b"\x53\xef"), ("XFS", 0, b"XFSB"), ("Btrfs", 0x10040, b"_BHRfS_M"), ("LUKS", 0, b"LUKS\xba\xbe"),
                                   ("swap", 4086, b"SWAPSPACE2"), ("unknown kind", 77777, b"something")):
            with open(self.volume, "wb") as image:
                image.truncate(64 * MEBIBYTE)
                image.seek(offset)
                image.write(mark)
            before = self.volume.read_bytes()
            self.assertIn(name, self.expect(1, "format", self.volume).stderr)
            self.assertEqual(self.volume.read_bytes(), before)
            self.expect(4, "info", self.volume)
        self.expect(0, "format", self.volume, "--force")
        self.expect(0, "verify", self.volume)

    def test_a_volume_is_formatted_again_only_by_force(self):
        self.format()
        self.assertIn("ashlar volume", self.expect(1, "format", self.volume).stderr)
        self.expect(0, "format", self.volume, "--force", "--block", "4096")
        self.assertEqual(self.document("info", self.volume)["block_bytes"], 4096)

    def test_sizes_that_cannot_be(self):
        self.assertIn("--size", self.expect(2, "format", self.volume).stderr)
        self.assertIn("too few", self.expect(2, "format", self.volume, "--size", "8K", "--block", "512").stderr)
        self.assertFalse(self.volume.exists(), "a failed format leaves no file")
        self.expect(3, "format", self.folder / "no folder" / "volume", "--size", "64M")
        self.expect(1, "format", self.folder)

    def test_a_file_that_exists_keeps_its_size_and_a_size_that_differs_is_refused(self):
        with open(self.volume, "wb") as image:
            image.truncate(64 * MEBIBYTE)
        for size in ("32M", "128M"):
            self.assertIn("leave --size out", self.expect(2, "format", self.volume, "--size", size).stderr)
        self.assertEqual(self.volume.read_bytes(), bytes(64 * MEBIBYTE))
        self.expect(0, "format", self.volume, "--size", "64M")
        self.expect(2, "format", self.volume, "--force", "--size", "65M")
        self.expect(0, "format", self.volume, "--force")
        self.assertEqual(self.volume.stat().st_size, 64 * MEBIBYTE)
        self.volume.write_bytes(b"")
        self.assertIn("needs a size", self.expect(2, "format", self.volume).stderr)
        self.expect(0, "format", self.volume, "--size", "48M", "--block", 1024)
        self.assertEqual(self.document("info", self.volume)["blocks"], 48 * 1024)

    def test_a_full_disk_shows_at_once_and_leaves_nothing(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (16 * MEBIBYTE, 16 * MEBIBYTE))
        self.expect(6, "format", self.volume, "--size", "64M", preexec_fn=limit)
        self.assertFalse(self.volume.exists())

    def test_a_disk_that_fills_up_under_a_volume_loses_nothing(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (24 * MEBIBYTE, 24 * MEBIBYTE))
        self.expect(0, "format", self.volume, "--size", "64M", "--sparse")
        first, second = self.make_tree("first", files=20), self.make_tree("second", files=3000, seed=4)
        self.expect(0, "import", self.volume, first)
        self.assertIn("free space", self.expect(6, "import", self.volume, second, preexec_fn=limit).stderr)
        self.expect(0, "verify", self.volume)
        self.export_and_compare(first)
        shutil.rmtree(second)
        self.expect(0, "import", self.volume, self.make_tree("third", files=20, seed=6))

    def test_each_block_size_works(self):
        top = self.make_tree(files=20)
        for block in (512, 1024, 2048, 4096, 8192, 16384, 32768, 65536):
            self.volume.unlink(missing_ok=True)
            self.expect(0, "format", self.volume, "--size", "128M", "--block", block)
            self.expect(0, "import", self.volume, top)
            self.expect(0, "verify", self.volume)
            self.export_and_compare(top)


class DamagedVolumes(ProgramTest):
    def setUp(self):
        super().setUp()
        self.format()
        self.tree = self.make_tree()
        self.expect(0, "import", self.volume, self.tree)

    def damage(self, offset, data):
        with open(self.volume, "r+b") as image:
            image.seek(offset)
            image.write(data)

    def test_a_file_that_shrank_is_refused_until_it_is_whole_again(self):
        os.truncate(self.volume, 60 * MEBIBYTE)
        for words in (("info",), ("verify",), ("import", self.tree), ("export", self.folder / "out")):
            self.assertIn("shrank", self.expect(4, words[0], self.volume, *words[1:]).stderr)
        os.truncate(self.volume, 64 * MEBIBYTE)
        self.expect(0, "verify", self.volume)

    def test_one_lost_superblock_is_replaced_by_its_mirror_and_two_are_the_end(self):
        self.damage(0, bytes(4096))
        self.export_and_compare(self.tree)
        self.damage(0, b"ASHLAR\0\1" + bytes(4088))
        self.damage(4 * 4096, bytes(4096))
        self.assertIn("neither", self.expect(4, "info", self.volume).stderr)
        self.expect(0, "dump", self.volume, "0", "--block", "4096")

    def test_other_files_are_no_volumes(self):
        for data in (b"", b"text", bytes(5 * MEBIBYTE), random.Random(5).randbytes(MEBIBYTE)):
            self.volume.write_bytes(data)
            self.expect(4, "ls", self.volume)

    def test_a_damaged_file_is_named_and_the_others_are_saved(self):
        name, data = next((path.name, path.read_bytes()) for path in sorted((self.tree / "folder5").iterdir()) if path.stat().st_size >= 5000)
        offset = self.volume.read_bytes().find(data[:1024])
        self.assertGreater(offset, 0)
        self.damage(offset, bytes([data[0] ^ 1]))
        self.assertIn(name, self.expect(4, "export", self.volume, self.folder / "out").stderr)
        out = self.folder / "saved"
        done = self.expect(4, "export", self.volume, out, "--keep-going")
        self.assertIn(name, done.stderr)
        missing = set(picture(self.tree)[0]) - set(picture(out)[0])
        self.assertEqual(missing, {f"folder5/{name}".encode()})
        found = self.expect(4, "verify", self.volume, "--json")
        self.assertEqual(json.loads(found.stdout)["problems"], 1)

    def block_of(self, tag, block=1024):
        """Where the first whole block of that tag begins; frames lie before all of them."""
        data = self.volume.read_bytes()
        at = next(at for at in range(10 * 4096, len(data), block) if data[at + block - 16:at + block - 12] == tag)
        return at, data[at:at + block]

    def test_a_repair_of_a_whole_volume_changes_nothing_that_counts(self):
        self.assertIn("nothing to mend", self.expect(0, "verify", self.volume, "--repair").stdout)
        seen = self.document("verify", self.volume, "--repair")
        self.assertEqual((seen["problems"], seen["mended"], seen["left"], seen["whole"], seen["dry_run"]), (0, 0, 0, True, False))
        self.export_and_compare(self.tree)
        self.expect(2, "verify", self.volume, "--dry-run")

    def test_a_repair_mends_bitmap_and_frames_and_a_dry_run_only_says_so(self):
        at, bitmap = self.block_of(b"BMAP")
        self.damage(at + 20, bytes([bitmap[20] ^ 1]))
        self.damage(4 * 4096 + 50, b"x")
        self.expect(4, "verify", self.volume)
        before = self.volume.read_bytes()
        dry = self.expect(4, "verify", self.volume, "--repair", "--dry-run")
        self.assertIn("would be made anew", dry.stdout)
        self.assertIn("would be written again from its twin", dry.stdout)
        self.assertIn("nothing was written", dry.stdout)
        self.assertEqual(self.volume.read_bytes(), before)
        said = json.loads(self.expect(4, "verify", self.volume, "--repair", "--dry-run", "--json").stdout)
        self.assertEqual((said["schema"], said["whole"], said["left"], said["dry_run"]), ("ashlar.verify/1", False, 0, True))
        done = json.loads(self.expect(0, "verify", self.volume, "--repair", "--json").stdout)
        self.assertEqual((done["whole"], done["left"], done["mended"]), (True, 0, said["mended"]))
        self.expect(0, "verify", self.volume)
        self.export_and_compare(self.tree)
        self.expect(0, "import", self.volume, self.make_tree("more", files=30, seed=8))
        self.expect(0, "verify", self.volume)

    def test_a_repair_leaves_damaged_data_and_says_what_to_do(self):
        name, data = next((path.name, path.read_bytes()) for path in sorted((self.tree / "folder5").iterdir()) if path.stat().st_size >= 5000)
        self.damage(self.volume.read_bytes().find(data[:1024]), bytes([data[0] ^ 1]))
        done = self.expect(4, "verify", self.volume, "--repair")
        self.assertIn("holds damaged data", done.stdout)
        self.assertIn("write the object again from its source", done.stdout)
        self.assertIn(name, self.expect(4, "export", self.volume, self.folder / "out").stderr, "damaged data is still an error")

    def anchor(self):
        """Up to which batch the journal is confirmed, and where its tail is; the newer of two copies."""
        with open(self.volume, "rb") as image:
            copies = [os.pread(image.fileno(), 48, frame * 4096) for frame in (2, 6)]
        number = lambda copy, at: int.from_bytes(copy[at:at + 8], "little")
        newest = max(copies, key=lambda copy: number(copy, 8))
        return number(newest, 32), number(newest, 40)

    def test_a_volume_that_opens_for_reading_only_is_not_repaired(self):
        """Killed with a journal of many batches, of which one in the middle is damaged."""
        self.expect(0, "age", self.volume, "--seed", 1, "--until", "0.6")
        with subprocess.Popen([str(PROGRAM), "defrag-start", str(self.volume), "--intensity", "low", "--quiet"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as child:
            end = time.monotonic() + 60
            while child.poll() is None and self.anchor()[0] < self.anchor()[1] + 3 and time.monotonic() < end:
                time.sleep(0.005)
            child.kill()
        confirmed, tail = self.anchor()
        self.assertGreaterEqual(confirmed, tail + 3, "the journal was emptied before the kill")
        whole = self.volume.read_bytes()
        at = next(at for at in range(10 * 4096, len(whole), 1024)
                  if whole[at:at + 6] == b"JRNL\1\0" and int.from_bytes(whole[at + 32:at + 40], "little") == tail + 1)
        self.damage(at + 70, bytes([whole[at + 70] ^ 1]))
        refused = self.expect(4, "verify", self.volume, "--repair").stderr
        self.assertIn("for reading only", refused)
        self.assertIn("export --keep-going", refused)
        self.assertIn("was acknowledged and is missing", self.expect(4, "verify", self.volume).stdout)
        self.assertIn("was acknowledged and is missing", self.expect(4, "verify", self.volume, "--repair", "--dry-run").stdout)

    def test_any_damaged_byte_gives_an_answer_and_never_a_crash(self):
        whole = self.volume.read_bytes()
        numbers = random.Random(9)
        for _ in range(25):
            offset = numbers.choice((numbers.randrange(48 * 1024), numbers.randrange(len(whole))))
            self.damage(offset, numbers.randbytes(64))
            for command in ("info", "verify", "ls"):
                done = run(command, self.volume)
                self.assertIn(done.returncode, (0, 1, 4), f"{command} at {offset}: {done.returncode} {done.stderr}")
            self.volume.write_bytes(whole)

    def test_a_full_volume_says_so_and_loses_nothing(self):
        large = self.folder / "large"
        large.mkdir()
        (large / "file").write_bytes(bytes([7]) * (80 * MEBIBYTE))
        self.assertIn("larger volume", self.expect(6, "import", self.volume, large).stderr)
        self.expect(0, "verify", self.volume)
        self.export_and_compare(self.tree)
        self.expect(0, "import", self.volume, self.make_tree("more", files=10, seed=8))


class Regions(ProgramTest):
    def add(self, size, letters="LOGS", seed=None):
        """Adds a region and fills it; answers its number and its bytes."""
        number = self.document("region-add", self.volume, letters, size)["number"]
        data = random.Random(number if seed is None else seed).randbytes(size)
        (self.folder / "input").write_bytes(data)
        self.expect(0, "region-write", self.volume, letters, number, self.folder / "input")
        return number, data

    def content(self, number, letters="LOGS"):
        done = subprocess.run([str(PROGRAM), "region-read", str(self.volume), letters, str(number)], capture_output=True, check=False, timeout=120)
        self.assertEqual((done.returncode, done.stderr), (0, b""))
        return done.stdout

    def rows(self):
        return {f"{row['type']}:{row['number']}": row for row in self.document("regions", self.volume)["regions"]}

    def with_a_hole(self, hole=4 * MEBIBYTE, sizes=(3 * MEBIBYTE, 2 * MEBIBYTE)):
        """A volume whose first region is gone; answers what the others hold."""
        self.format()
        self.expect(0, "import", self.volume, self.make_tree())
        self.add(hole)
        kept = dict(self.add(size) for size in sizes)
        self.expect(0, "region-remove", self.volume, "LOGS", 0)
        return kept

    def expect_content(self, kept):
        for number, data in kept.items():
            self.assertTrue(self.content(number) == data, f"LOGS:{number}")

    def test_a_region_holds_what_it_was_given_and_its_neighbours_too(self):
        self.format()
        tree = self.make_tree()
        self.expect(0, "import", self.volume, tree)
        first, second = self.add(MEBIBYTE), self.add(300 * 1024)
        self.expect_content(dict((first, second)))
        self.assertEqual(self.add(1024, "MAPS")[0], 0, "numbers count within a type")
        (self.folder / "short").write_bytes(b"head of it")
        self.expect(0, "region-write", self.volume, "LOGS", 0, self.folder / "short")
        self.expect(0, "verify", self.volume)
        self.export_and_compare(tree)
        self.expect_content({0: b"head of it" + first[1][10:], 1: second[1]})

    def test_pipes_and_files_carry_the_same_bytes(self):
        self.format()
        self.expect(0, "region-add", self.volume, "LOGS", "64K")
        data = random.Random(1).randbytes(64 * 1024)
        done = subprocess.run([str(PROGRAM), "region-write", str(self.volume), "LOGS", "0", "-", "--json"], input=data, capture_output=True, check=True)
        self.assertEqual(json.loads(done.stdout)["bytes"], len(data))
        out = self.folder / "out"
        self.expect(0, "region-read", self.volume, "LOGS", 0, out)
        self.assertEqual(out.read_bytes(), data)
        out.write_bytes(b"mine")
        self.assertIn("--force", self.expect(1, "region-read", self.volume, "LOGS", 0, out).stderr)
        self.assertEqual(out.read_bytes(), b"mine")
        self.expect(0, "region-read", self.volume, "LOGS", 0, out, "--force")
        self.assertEqual(out.read_bytes(), data)
        self.expect(3, "region-read", self.volume, "LOGS", 1, self.folder / "none")
        self.assertFalse((self.folder / "none").exists())

    def test_what_is_larger_than_the_region_is_refused(self):
        self.format()
        _, data = self.add(64 * 1024)
        (self.folder / "large").write_bytes(bytes(64 * 1024 + 1))
        self.assertIn("larger region", self.expect(6, "region-write", self.volume, "LOGS", 0, self.folder / "large").stderr)
        self.expect_content({0: data})
        done = subprocess.run([str(PROGRAM), "region-write", str(self.volume), "LOGS", "0"], input=bytes(3 * MEBIBYTE), capture_output=True, check=False)
        self.assertEqual(done.returncode, 6)
        self.expect(3, "region-write", self.volume, "LOGS", 0, self.folder / "nowhere")
        self.expect(0, "verify", self.volume)

    def test_the_list_says_where_regions_lie_and_what_is_free_between(self):
        self.with_a_hole()
        seen = self.document("regions", self.volume)
        rows = {f"{row['type']}:{row['number']}": row for row in seen["regions"]}
        self.assertEqual(rows["LOGS:1"]["blocks"], 3 * 1024)
        self.assertEqual(rows["LOGS:1"]["gap_after"], 0)
        self.assertEqual([rows[name]["own"] for name in ("JRNL:0", "LOGS:1", "LOGS:2")], [True, False, False])
        self.assertEqual(seen["own_regions"], len(rows) - 2)
        self.assertEqual(seen["free_blocks"], self.document("info", self.volume)["free_blocks"])
        self.assertEqual(seen["perfect_compaction_gain"], seen["free_blocks"] - seen["largest_free_run"])
        self.assertAlmostEqual(seen["free_fragmentation"], seen["perfect_compaction_gain"] / seen["free_blocks"], delta=0.002)
        self.assertGreaterEqual(seen["largest_free_run"], seen["average_free_run"])
        self.assertGreaterEqual(seen["average_free_run"], seen["smallest_free_run"])
        map_of = seen["map"]
        self.assertEqual(len(map_of["letters"]), -(-seen["blocks"] // map_of["blocks_per_letter"]))
        self.assertEqual({"#", ".", "s", "-"} - set(map_of["letters"]), set())
        middle = rows["LOGS:1"]["first"] + rows["LOGS:1"]["blocks"] // 2
        self.assertEqual(map_of["letters"][middle // map_of["blocks_per_letter"]], "#")
        text = self.expect(0, "regions", self.volume, "--columns", 60).stdout
        self.assertRegex(text, r"LOGS:1 +\d+ +3072 +3.00 MiB +0\n")
        self.assertIn("wasted", text)
        self.assertIn("  +" + "-" * 60 + "+", text)
        self.assertNotIn("--+", self.expect(0, "regions", self.volume, "--columns", 0).stdout)

    def test_a_dry_run_says_where_a_region_would_lie(self):
        self.format()
        before = self.volume.read_bytes()
        said = self.document("region-add", self.volume, "LOGS", "5M", "--dry-run")
        self.assertEqual(self.volume.read_bytes(), before)
        done = self.document("region-add", self.volume, "LOGS", "5M")
        self.assertEqual((done["first"], done["blocks"]), (said["first"], said["blocks"]))
        self.assertEqual(self.rows()["LOGS:0"]["first"], said["first"])

    def test_a_size_may_be_a_share_of_the_volume(self):
        self.format()
        blocks = self.document("regions", self.volume)["blocks"]
        for number, (name, share, least) in enumerate((("small", 1024, 64), ("large", 256, 256))):
            said = self.document("region-add", self.volume, "LOGS", name)
            self.assertEqual((said["number"], said["blocks"]), (number, min(max(blocks // share, least), blocks // 16)))
        self.assertIn("small or large", self.expect(2, "region-add", self.volume, "LOGS", "medium").stderr)

    def test_what_does_not_fit_is_refused_with_the_figure(self):
        self.format()
        for words in (("--dry-run",), ()):
            self.assertIn("are free", self.expect(6, "region-add", self.volume, "LOGS", "1G", *words).stderr)
        self.add(20 * MEBIBYTE)
        self.expect(0, "region-add", self.volume, "LOGS", "20M")
        self.expect(0, "region-remove", self.volume, "LOGS", 0)
        for words in (("--dry-run",), ()):
            self.assertIn("ashlar compact", self.expect(6, "region-add", self.volume, "LOGS", "30M", *words).stderr)
        self.expect(0, "compact", self.volume)
        self.expect(0, "region-add", self.volume, "LOGS", "30M")
        self.expect(0, "verify", self.volume)

    def test_a_full_directory_is_named(self):
        self.format()
        room = 127 - len(self.rows())
        for _ in range(room):
            self.expect(0, "region-add", self.volume, "LOGS", "1K", "-q")
        self.assertIn("127 regions", self.expect(6, "region-add", self.volume, "LOGS", "1K").stderr)
        self.assertIn("127 regions", self.expect(6, "region-add", self.volume, "LOGS", "1K", "--dry-run").stderr)
        self.expect(0, "region-remove", self.volume, "LOGS", 3)
        self.assertEqual(self.document("region-add", self.volume, "LOGS", "1K")["number"], 3)

    def test_what_is_not_there_has_no_verb(self):
        self.format()
        for words in (("region-remove", "LOGS", 0), ("region-pin", "LOGS", 0), ("region-read", "LOGS", 0), ("region-write", "LOGS", 0)):
            self.assertIn("ashlar regions", self.expect(3, words[0], self.volume, *words[1:], stdin=subprocess.DEVNULL).stderr)
        for words in ((), ("--dry-run",)):
            self.expect(3, "compact", self.volume, "--region", "LOGS:0", *words)

    def test_a_pinned_region_neither_moves_nor_goes_until_it_is_released(self):
        kept = self.with_a_hole(6 * MEBIBYTE)
        self.expect(0, "region-pin", self.volume, "LOGS", 1)
        place = self.rows()["LOGS:1"]
        self.assertTrue(place["pinned"])
        self.assertIn("--off", self.expect(1, "region-remove", self.volume, "LOGS", 1).stderr)
        self.assertIn("stays: pinned", self.expect(0, "compact", self.volume, "--dry-run").stdout)
        done = self.document("compact", self.volume)
        self.assertIn("pinned", done["stopped"])
        self.assertEqual(self.rows()["LOGS:1"]["first"], place["first"])
        self.expect(0, "region-pin", self.volume, "LOGS", 1, "--off")
        self.assertGreaterEqual(self.document("compact", self.volume, "--region", "LOGS:1")["regions_moved"], 1)
        self.assertLess(self.rows()["LOGS:1"]["first"], place["first"])
        self.expect_content(kept)
        self.expect(0, "region-remove", self.volume, "LOGS", 1)

    def test_compaction_does_what_its_plan_says_and_loses_nothing(self):
        kept = self.with_a_hole()
        before = self.volume.read_bytes()
        plan = self.document("compact", self.volume, "--dry-run")
        self.assertEqual(self.volume.read_bytes(), before)
        self.assertGreater(plan["planned_moves"], 0)
        done = self.document("compact", self.volume)
        self.assertEqual((done["plan"], done["regions_moved"], done["blocks_moved"]), (plan["plan"], plan["planned_moves"], plan["planned_blocks"]))
        for key in ("free_runs_after", "largest_free_run_after", "free_fragmentation_after"):
            self.assertEqual(done[key], plan[key], key)
        self.assertEqual(done["gained_blocks"], done["largest_free_run_after"] - done["largest_free_run_before"])
        self.assertGreater(done["gained_blocks"], 0)
        rows = self.rows()
        for line in plan["plan"]:
            self.assertEqual(rows[f"{line['type']}:{line['number']}"]["first"], line["to"])
        self.assertEqual(self.document("regions", self.volume)["largest_free_run"], done["largest_free_run_after"])
        self.expect_content(kept)
        self.expect(0, "verify", self.volume)
        again = self.document("compact", self.volume)
        self.assertEqual((again["regions_moved"], again["gained_blocks"]), (0, 0))
        # What is named moves whatever it gains, and the files of the tree leave its way.
        words = ("compact", self.volume, "--region", "LOGS:2")
        self.assertIn("would leave the way of 1 region", self.expect(0, *words, "--dry-run").stdout)
        plan = self.document(*words, "--dry-run")
        line = next(line for line in plan["plan"] if line["number"] == 2)
        self.assertTrue(line["clears_way"])
        self.assertEqual((plan["planned_ways"], plan["planned_blocks_in_the_way"]), (1, line["blocks_in_the_way"]))
        done = self.document(*words)
        self.assertEqual((done["ways_cleared"], done["regions_moved"]), (1, 1))
        self.assertGreaterEqual(done["blocks_cleared"], line["blocks_in_the_way"])
        self.assertEqual(self.rows()["LOGS:2"]["first"], line["to"])
        self.expect_content(kept)
        self.export_and_compare(self.folder / "tree")
        self.expect(0, "verify", self.volume)

    def test_one_region_alone_moves(self):
        kept = self.with_a_hole()
        before = self.rows()
        plan = self.expect(0, "compact", self.volume, "--region", "LOGS:2", "--dry-run").stdout
        self.assertRegex(plan, r"LOGS:1 .*stays: not asked for")
        self.assertRegex(plan, r"LOGS:2 .*moves")
        self.assertIn("LOGS:2", self.expect(0, "compact", self.volume, "--region", "LOGS:2").stdout)
        after = self.rows()
        self.assertEqual(after["LOGS:1"]["first"], before["LOGS:1"]["first"])
        self.assertLess(after["LOGS:2"]["first"], before["LOGS:1"]["first"])
        self.expect_content(kept)

    def test_control_c_and_kill_leave_each_region_whole(self):
        kept = self.with_a_hole(8 * MEBIBYTE, (7 * MEBIBYTE, 2 * MEBIBYTE))
        start = self.rows()["LOGS:1"]["first"]
        for how in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
            with subprocess.Popen([str(PROGRAM), "compact", str(self.volume), "--rate", "2M", "--region", "LOGS:1"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) as child:
                time.sleep(0.7)
                child.send_signal(how)
                errors = child.communicate(timeout=60)[1]
            if how == signal.SIGKILL:
                self.assertEqual(child.returncode, -how)
            else:
                self.assertEqual(child.returncode, 130, errors)
                self.assertIn("to go on", errors)
            self.assertEqual(self.rows()["LOGS:1"]["first"], start, "it was not over")
            self.expect_content(kept)
            self.expect(0, "verify", self.volume)
        self.assertGreater(self.document("compact", self.volume, "--rate", "1G")["regions_moved"], 0)
        self.expect_content(kept)

    def test_what_fits_nowhere_whole_slides_and_goes_on_after_a_kill(self):
        kept = self.with_a_hole(MEBIBYTE, (8 * MEBIBYTE,))
        start = self.rows()["LOGS:1"]["first"]
        plan = self.document("compact", self.volume, "--region", "LOGS:1", "--dry-run")
        self.assertEqual((plan["planned_slides"], plan["indirection_entries"]), (1, 8 * 1024))
        self.assertGreaterEqual(plan["indirection_entries_max"], plan["indirection_entries"])
        self.assertIn("slides, in parts", self.expect(0, "compact", self.volume, "--region", "LOGS:1", "--dry-run").stdout)
        with subprocess.Popen([str(PROGRAM), "compact", str(self.volume), "--rate", "3M", "--region", "LOGS:1"], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as child:
            time.sleep(1.2)
            child.kill()
            child.wait(timeout=60)
        seen = self.document("regions", self.volume)
        self.assertGreater(seen["indirection_entries"], 0)
        self.assertEqual(seen["slid_blocks"], seen["indirection_entries"])
        self.assertEqual([row["type"] for row in seen["regions"] if row["slides"]], ["LOGS"])
        self.assertEqual({row["type"] for row in seen["regions"]} & {"SLID", "INDR"}, {"SLID", "INDR"})
        self.assertIn("in parts", self.expect(0, "regions", self.volume).stdout)
        self.expect_content(kept)
        self.expect(0, "verify", self.volume)
        done = self.document("compact", self.volume, "--rate", "1G")
        self.assertEqual(done["regions_slid"], 1)
        self.assertLess(self.rows()["LOGS:1"]["first"], start)
        self.assertEqual(self.document("regions", self.volume)["indirection_entries"], 0)
        self.expect_content(kept)
        self.expect(0, "verify", self.volume)

    def test_control_c_ends_a_wait_for_input_that_does_not_come(self):
        self.format()
        _, data = self.add(64 * 1024)
        with subprocess.Popen([str(PROGRAM), "region-write", str(self.volume), "LOGS", "0"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE) as child:
            child.stdin.write(b"a part of it")
            child.stdin.flush()
            time.sleep(0.3)
            child.send_signal(signal.SIGINT)
            self.assertEqual(child.wait(timeout=10), 130)
            self.assertIn(b"interrupted after 0 B", child.stderr.read())
        self.expect_content({0: data})

    def test_the_rate_is_kept(self):
        self.with_a_hole(5 * MEBIBYTE, (4 * MEBIBYTE,))
        done = self.document("compact", self.volume, "--rate", "4M")
        self.assertEqual(done["bytes_moved"], 4 * MEBIBYTE)
        self.assertGreater(done["seconds"], 0.8)


class ResizeTest(ProgramTest):
    """A volume grows and shrinks; its files stay."""

    def setUp(self):
        super().setUp()
        self.tree = self.folder / "tree"
        self.tree.mkdir()
        numbers = random.Random(8)
        for i in range(60):
            (self.tree / f"file{i}").write_bytes(numbers.randbytes(numbers.randrange(150_000)))
        self.format(48 * MEBIBYTE)
        self.expect(0, "import", self.volume, self.tree, "-q")
        self.before = picture(self.tree)

    def expect_content(self):
        self.expect(0, "verify", self.volume)
        back = self.folder / "back"
        shutil.rmtree(back, ignore_errors=True)
        self.expect(0, "export", self.volume, back, "-q")
        self.assertEqual(picture(back), self.before)

    def push_behind(self):
        """Moves the end of what is in use far back: a region that is not pinned lies there."""
        self.expect(0, "region-add", self.volume, "GAPS", "24M", "-q")
        self.expect(0, "region-add", self.volume, "LOGS", "3M", "-q")
        self.expect(0, "region-remove", self.volume, "GAPS", 0)

    def test_a_shrink_does_what_its_plan_says_and_gives_the_end_back(self):
        self.push_behind()
        seen = self.volume.read_bytes()
        plan = self.document("shrink", self.volume, "--to", "16M", "--dry-run")
        self.assertEqual(self.volume.read_bytes(), seen)
        self.assertEqual((plan["bytes_before"], plan["bytes_after"]), (48 * MEBIBYTE, 16 * MEBIBYTE))
        self.assertGreaterEqual(plan["blocks_in_the_way"], 3 * 1024)
        self.assertLess(plan["smallest_bytes"], 16 * MEBIBYTE)
        done = self.document("shrink", self.volume, "--to", "16M")
        self.assertEqual((done["blocks_after"], done["bytes_given_back"]), (16 * 1024, 32 * MEBIBYTE))
        self.assertGreaterEqual(done["blocks_moved"], 3 * 1024)
        self.assertEqual(self.volume.stat().st_size, 16 * MEBIBYTE)
        self.assertEqual(self.document("info", self.volume)["blocks"], 16 * 1024)
        self.expect_content()

    def test_the_smallest_size_is_said_and_no_smaller_one_is_taken(self):
        smallest = self.document("shrink", self.volume, "--to", "40M", "--dry-run")["smallest_bytes"]
        for words in ((), ("--dry-run",)):
            told = self.expect(6, "shrink", self.volume, "--to", smallest - 1024, *words).stderr
            self.assertIn(f"({smallest // 1024} blocks)", told)
        self.expect(0, "shrink", self.volume, "--to", smallest)
        self.assertEqual(self.volume.stat().st_size, smallest)
        self.expect_content()
        self.assertIn("grow", self.expect(1, "shrink", self.volume, "--to", "48M").stderr)
        self.expect(6, "shrink", self.volume, "--to", "1M")

    def test_a_volume_grows_with_its_file(self):
        plan = self.document("grow", self.volume, "--to", "200M", "--dry-run")
        self.assertEqual((plan["bytes_after"], self.volume.stat().st_size), (200 * MEBIBYTE, 48 * MEBIBYTE))
        done = self.document("grow", self.volume, "--to", "200M")
        self.assertEqual((done["bytes_before"], done["bytes_after"]), (48 * MEBIBYTE, 200 * MEBIBYTE))
        self.assertEqual(self.volume.stat().st_size, 200 * MEBIBYTE)
        self.expect_content()
        os.truncate(self.volume, 300 * MEBIBYTE)
        self.assertEqual(self.document("grow", self.volume)["bytes_after"], 300 * MEBIBYTE)
        self.expect(0, "region-add", self.volume, "LOGS", "150M", "-q")
        self.expect_content()
        self.assertIn("already", self.expect(1, "grow", self.volume).stderr)
        self.assertIn("already", self.expect(1, "grow", self.volume, "--to", "100M").stderr)
        self.assertIn("already", self.expect(1, "grow", self.volume, "--dry-run").stderr)

    def test_growth_that_cannot_be_is_said_by_the_dry_run_too_and_leaves_the_file(self):
        full, size = self.folder / "full.ash", 2 * 8 * (1024 - 16) * 1024  # two groups: a third one needs tables
        self.expect(0, "format", full, "--size", size, "--block", 1024)
        for more in (("--dry-run",), ()):
            self.assertIn("tables", self.expect(6, "grow", full, "--to", size + 1024, *more).stderr)
            self.assertEqual(full.stat().st_size, size)
        self.expect(0, "grow", full, "--to", size + MEBIBYTE, "--dry-run")
        self.expect(0, "verify", full)

    def test_a_file_with_its_space_reserved_grows_with_its_space_and_a_sparse_one_stays_sparse(self):
        self.expect(0, "grow", self.volume, "--to", "100M")
        self.assertGreaterEqual(self.volume.stat().st_blocks * 512, 100 * MEBIBYTE)
        sparse = self.folder / "sparse.ash"
        self.expect(0, "format", sparse, "--size", "48M", "--sparse")
        self.expect(0, "grow", sparse, "--to", "100M")
        self.assertEqual(sparse.stat().st_size, 100 * MEBIBYTE)
        self.assertLess(sparse.stat().st_blocks * 512, 48 * MEBIBYTE)
        self.expect_content()

    def test_a_disk_that_is_too_small_ends_a_growth_and_the_file_is_as_before(self):
        disk = os.statvfs(self.folder)
        more = (disk.f_bavail * disk.f_frsize // MEBIBYTE + 1024) * MEBIBYTE
        self.assertIn("does not hold", self.expect(6, "grow", self.volume, "--to", 48 * MEBIBYTE + more).stderr)
        self.assertEqual(self.volume.stat().st_size, 48 * MEBIBYTE)
        self.assertEqual(self.document("info", self.volume)["blocks"], 48 * 1024)
        self.expect_content()

    @unittest.skipUnless(can_inject(), "needs strace")
    def test_a_growth_that_fails_leaves_the_file_as_long_as_it_was_or_the_volume_decides(self):
        before, taken_back = self.volume.read_bytes(), 0
        for number in range(1, 40):
            done = run_with_sync("error=EIO", number, "grow", self.volume, "--to", "60M")
            self.expect(0, "verify", self.volume)
            size = (self.volume.stat().st_size, self.document("info", self.volume)["blocks"] * 1024)
            self.assertIn(size, ((48 * MEBIBYTE, 48 * MEBIBYTE), (60 * MEBIBYTE, 48 * MEBIBYTE), (60 * MEBIBYTE, 60 * MEBIBYTE)))
            taken_back += done.returncode != 0 and size[0] == 48 * MEBIBYTE
            if done.returncode == 0:
                break
            self.volume.write_bytes(before)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreater(taken_back, 0)
        self.expect_content()

    def test_what_fits_nowhere_before_the_end_is_named(self):
        places = [self.document("region-add", self.volume, "GAPS", "2M")["first"] for _ in range(12)]
        self.expect(0, "region-add", self.volume, "LOGS", "3M", "-q")
        for number in range(12):
            self.expect(0, *(("region-remove", self.volume, "GAPS", number) if number % 2 else ("region-pin", self.volume, "GAPS", number)), "-q")
        end = places[-1] * 1024
        done = self.expect(1, "shrink", self.volume, "--to", end)
        self.assertRegex(done.stdout, r"region LOGS:0, blocks \d+ to \d+: no contiguous space")
        self.assertIn("does not all move", done.stderr)
        self.assertIn("compact", done.stderr)
        answer = run("shrink", self.volume, "--to", end, "--json")
        self.assertEqual(answer.returncode, 1)
        said = json.loads(answer.stdout)
        self.assertEqual((said["blocks_after"], said["obstacles_found"], said["obstacles"][0]["what"]), (48 * 1024, 1, "region LOGS:0"))
        self.assertEqual(self.volume.stat().st_size, 48 * MEBIBYTE)
        self.expect_content()

    def test_a_file_that_was_cut_behind_its_volume_is_refused(self):
        os.truncate(self.volume, 47 * MEBIBYTE)
        for words in (("info",), ("verify",), ("regions",), ("grow",), ("shrink", "--to", "20M")):
            self.expect(4, words[0], self.volume, *words[1:])

    def test_a_pinned_region_behind_the_end_is_named(self):
        self.push_behind()
        self.expect(0, "region-pin", self.volume, "LOGS", 0)
        told = self.expect(1, "shrink", self.volume, "--to", "16M").stderr
        self.assertIn("LOGS:0", told)
        self.assertIn("--off", told)
        self.assertEqual(self.volume.stat().st_size, 48 * MEBIBYTE)
        self.expect_content()

    def test_a_shrink_that_is_stopped_goes_on(self):
        self.push_behind()
        for how in (signal.SIGINT, signal.SIGKILL, signal.SIGTERM):
            with subprocess.Popen([str(PROGRAM), "shrink", str(self.volume), "--to", "16M", "--rate", "1M"], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.PIPE, text=True) as child:
                time.sleep(0.7)
                child.send_signal(how)
                _, errors = child.communicate(timeout=60)
            if how == signal.SIGKILL:
                self.assertEqual(child.returncode, -signal.SIGKILL)
            else:
                self.assertEqual(child.returncode, 130, errors)
                self.assertIn("its old size and is whole", errors)
            self.assertEqual(self.volume.stat().st_size, 48 * MEBIBYTE)
            self.expect(0, "verify", self.volume)
        self.expect(0, "shrink", self.volume, "--to", "16M", "-q")


class Evacuations(ProgramTest):
    def setUp(self):
        super().setUp()
        self.format()
        self.tree = self.make_tree()
        self.expect(0, "import", self.volume, self.tree)
        self.expect(0, "age", self.volume, "--seed", 1, "--until", "0.4")
        self.expect(0, "region-add", self.volume, "LOGS", "300K")
        self.log = random.Random(7).randbytes(300 * 1024)
        (self.folder / "log").write_bytes(self.log)
        self.expect(0, "region-write", self.volume, "LOGS", 0, self.folder / "log")
        rows = self.document("regions", self.volume)["regions"]
        self.own_end = max(row["first"] + row["blocks"] for row in rows if row["type"] != "LOGS" and row["number"] == 0)
        self.end = max(row["first"] + row["blocks"] for row in rows)

    def expect_content(self):
        self.expect(0, "verify", self.volume)
        self.export_and_compare(self.tree)
        out = self.folder / "region"
        self.expect(0, "region-read", self.volume, "LOGS", 0, out, "--force")
        self.assertTrue(out.read_bytes() == self.log)

    def test_a_range_is_emptied_as_its_plan_says(self):
        words = ("evacuate", self.volume, "--from", self.own_end, "--to", self.end + 500)
        before = self.volume.read_bytes()
        plan = self.document(*words, "--dry-run")
        self.assertIn("the range would be empty", self.expect(0, *words, "--dry-run").stdout)
        self.assertEqual(self.volume.read_bytes(), before)
        self.assertTrue(plan["would_be_empty"], plan)
        self.assertGreater(plan["planned_object_moves"], 10)
        self.assertEqual(plan["planned_region_moves"], 1)
        done = self.document(*words)
        self.assertTrue(done["emptied"])
        self.assertEqual((done["in_use_after"], done["region_moves"], done["obstacles"]), (0, 1, []))
        self.assertLessEqual(done["blocks_moved"], plan["planned_blocks"])
        self.assertEqual(done["stopped"], "finished")
        self.expect_content()
        again = self.document(*words)
        self.assertEqual((again["blocks_moved"], again["in_use_before"], again["emptied"]), (0, 0, True))
        self.assertIn("emptied blocks", self.expect(0, *words).stdout)

    def test_what_is_in_the_way_is_named(self):
        self.expect(0, "region-pin", self.volume, "LOGS", 0)
        words = ("evacuate", self.volume, "--from", 0, "--to", self.end)
        said = self.expect(0, *words, "--dry-run").stdout
        for text in ("the fixed blocks at the beginning", "the store's own region JRNL:0", "region LOGS:0", "would not be empty"):
            self.assertIn(text, said)
        done = self.expect(1, *words)
        self.assertIn("could not empty", done.stdout)
        self.assertRegex(done.stdout, r"region LOGS:0, blocks \d+ to \d+: pinned")
        self.assertIn("still in use", done.stderr)
        answer = json.loads(run(*words, "--json").stdout)
        self.assertEqual((answer["emptied"], answer["blocks_moved"]), (False, 0))
        self.assertIn({"frames", "pinned"}, [{"frames" if "fixed" in line["what"] else line["what"], line["why"]} for line in answer["obstacles"]])
        self.assertEqual(self.document(*words, "--dry-run")["obstacles_found"], answer["obstacles_found"])
        self.assertIn("region LOGS:0", self.expect(1, *words, "--quiet").stdout)
        self.expect_content()

    def test_what_cannot_be_read_is_named_with_its_error(self):
        data = next(path.read_bytes() for path in sorted((self.tree / "folder5").iterdir()) if path.stat().st_size >= 5000)
        with open(self.volume, "r+b") as image:
            at = image.read().find(data[:1024])
            image.seek(at)
            image.write(bytes([data[0] ^ 1]))
        words = ("evacuate", self.volume, "--from", at // 1024, "--to", at // 1024 + 1)
        done = self.expect(4, *words)
        self.assertRegex(done.stdout, rf"object \d+ at its block \d+, blocks {at // 1024} to {at // 1024}: device error: .*checksum")
        self.assertRegex(done.stderr, rf"checksum.*block {at // 1024}")
        answer = run(*words, "--json")
        self.assertEqual(answer.returncode, 4)
        self.assertIn("checksum", json.loads(answer.stdout)["failure"])
        with open(self.volume, "r+b") as image:
            image.seek(at)
            image.write(data[:1])
        self.assertIsNone(self.document(*words)["failure"])
        self.expect_content()

    def test_control_c_and_kill_leave_everything_whole(self):
        words = ("evacuate", str(self.volume), "--from", str(self.own_end), "--to", str(self.end))
        for how in (signal.SIGINT, signal.SIGKILL):
            with subprocess.Popen([str(PROGRAM), *words, "--rate", "300K"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
                time.sleep(0.7)
                child.send_signal(how)
                errors = child.communicate(timeout=60)[1]
            self.assertEqual(child.returncode, 130 if how == signal.SIGINT else -how, errors)
            if how == signal.SIGINT:
                self.assertIn("to go on", errors)
            self.expect_content()
        self.assertTrue(self.document(*words, "--rate", "1G")["emptied"])
        self.expect_content()


class Copies(ProgramTest):
    def setUp(self):
        super().setUp()
        self.format()
        self.tree = self.make_tree()
        self.expect(0, "import", self.volume, self.tree)
        self.expect(0, "age", self.volume, "--seed", 1, "--until", "0.4")
        self.expect(0, "region-add", self.volume, "LOGS", "300K")
        self.log = random.Random(7).randbytes(300 * 1024)
        (self.folder / "log").write_bytes(self.log)
        self.expect(0, "region-write", self.volume, "LOGS", 0, self.folder / "log")
        self.target = self.folder / "target.ash"

    def expect_copied(self, target=None):
        """The tree and the region came out the same, and the copy is a volume like any other."""
        source, self.volume = self.volume, target or self.target
        self.expect(0, "verify", self.volume)
        self.export_and_compare(self.tree)
        out = self.folder / "region"
        self.expect(0, "region-read", self.volume, "LOGS", 0, out, "--force")
        self.assertTrue(out.read_bytes() == self.log)
        self.assertNotIn("COPY", self.expect(0, "regions", self.volume).stdout)
        ours, theirs = self.expect(0, "ls", source).stdout, self.expect(0, "ls", self.volume).stdout
        self.assertEqual(ours, theirs)
        self.expect(0, "import", self.volume, self.make_tree("more", files=10, seed=8))
        self.expect(0, "verify", self.volume)
        self.volume = source

    def test_a_copy_of_any_size_and_width_holds_the_same(self):
        before = self.volume.read_bytes()
        for name, words, blocks, width in (("same", (), 64 * 1024, 136), ("small", ("--size", "24M"), 24 * 1024, 136),
                                           ("large", ("--size", "200M", "--record-bytes", 160), 200 * 1024, 160)):
            target = self.folder / f"{name}.ash"
            said = self.document("copy", self.volume, target, *words)
            self.assertEqual((said["blocks_copied"], said["objects_copied"], said["regions_copied"], said["resumed"]),
                             (said["blocks"], said["objects"], 1, False))
            self.assertEqual(said["skipped_blocks"], 64 * 1024 - said["blocks"])
            self.assertEqual(said["bytes_copied"], said["blocks_copied"] * 1024)
            self.assertEqual(said["speed_up_percent"], 64 * 1024 * 100 // said["blocks_copied"])
            seen = self.document("info", target)
            self.assertEqual((seen["blocks"], seen["objects"]), (blocks, said["objects"]))
            self.assertEqual(int.from_bytes(target.read_bytes()[132:136], "little"), width)
            self.assertEqual(int.from_bytes(target.read_bytes()[136:140], "little"), 2, "what is wider is free for features")
            self.assertEqual(self.document("defrag-analyze", target)["fragmented_objects"], 0, "objects come out whole")
            self.expect_copied(target)
        self.assertEqual(self.volume.read_bytes(), before)

    def test_features_go_along_and_a_target_without_room_says_what_to_do(self):
        self.expect(0, "migrate-records", self.volume, "--width", 160)
        add_feature(self.volume, 3, 16)
        self.expect(0, "verify", self.volume)
        narrow = self.folder / "narrow.ash"
        self.expect(0, "format", narrow, "--size", "64M", "--block", 1024)
        before = narrow.read_bytes()
        for options in ((), ("--dry-run",)):
            self.assertIn(f"migrate-records {narrow} --width 152", self.expect(1, "copy", self.volume, narrow, *options).stderr)
        self.assertEqual(narrow.read_bytes(), before)
        self.assertIn("--record-bytes 128", self.expect(2, "copy", self.volume, self.target, "--record-bytes", 120).stderr)
        self.expect(0, "migrate-records", narrow, "--width", 152)
        for target in (narrow, self.target):
            self.expect(0, "copy", self.volume, target)
            image = target.read_bytes()
            self.assertEqual(int.from_bytes(image[128:132], "little"), 1 << 3)
            self.assertEqual(image[1792 + 48:1792 + 52], bytes((0, 0, 16, 0)))
            self.expect_copied(target)
        self.expect(0, "format", narrow, "--size", "64M", "--block", 1024, "--force")
        self.expect(0, "migrate-records", narrow, "--width", 160)
        add_feature(narrow, 4, 8)
        self.assertIn("other features stands here", self.expect(1, "copy", self.volume, narrow).stderr)

    def test_a_dry_run_says_what_a_copy_takes_and_touches_nothing(self):
        before = self.volume.read_bytes()
        said = self.document("copy", self.volume, self.target, "--dry-run")
        self.assertFalse(self.target.exists())
        self.assertIn("nothing was written", self.expect(0, "copy", self.volume, self.target, "--dry-run").stdout)
        self.assertIn("does not fit", self.expect(6, "copy", self.volume, self.target, "--size", "1M", "--dry-run").stderr)
        self.expect(0, "format", self.target, "--size", "64M", "--block", 1024)
        empty = self.target.read_bytes()
        self.assertEqual(self.document("copy", self.volume, self.target, "--dry-run")["blocks"], said["blocks"])
        self.assertEqual((self.target.read_bytes(), self.volume.read_bytes()), (empty, before))
        done = self.document("copy", self.volume, self.target)
        self.assertEqual([done[key] for key in ("objects", "regions", "blocks", "skipped_blocks")],
                         [said[key] for key in ("objects", "regions", "blocks", "skipped_blocks")])
        self.expect_copied()

    def test_a_target_with_content_is_refused_and_kept(self):
        self.expect(0, "copy", self.volume, self.target)
        self.expect(0, "region-add", self.volume, "LOGS", "1M")
        other = self.folder / "other.ash"
        with open(other, "wb") as image:
            image.truncate(64 * MEBIBYTE)
            image.write(b"XFSB")
        for target, words in ((self.target, "an ashlar volume stands here"), (other, "an XFS file system stands here")):
            before = target.read_bytes()
            for options in ((), ("--dry-run",)):
                self.assertIn(words, self.expect(1, "copy", self.volume, target, *options).stderr)
            self.assertEqual(target.read_bytes(), before)
        self.expect(0, "format", other, "--force", "--block", 4096)
        self.assertIn("--block 1024", self.expect(1, "copy", self.volume, other).stderr)
        self.expect(1, "copy", self.volume, self.folder)
        self.expect(3, "copy", self.folder / "nowhere", self.target)
        self.expect(3, "copy", self.volume, self.folder / "no folder" / "target")

    def test_a_target_that_is_too_small_is_said_at_once_and_leaves_nothing(self):
        blocks = self.document("copy", self.volume, self.target, "--dry-run")["blocks"]
        for size in ("1M", f"{blocks + 100}K"):
            for more in (("--dry-run",), ()):
                self.assertIn("larger target", self.expect(6, "copy", self.volume, self.target, "--size", size, *more).stderr)
        self.assertFalse(self.target.exists())

    def test_the_smallest_target_that_a_dry_run_takes_holds_the_copy(self):
        holes = self.folder / "holes"
        holes.mkdir()
        for i in range(300):
            with open(holes / f"with a hole {i}", "wb") as image:
                image.write(bytes(range(1, 256)))
                image.seek(12 * 1024)
                image.write(b"behind it")
        self.expect(0, "import", self.volume, holes)
        for words in ((), ("--record-bytes", 112)):
            refused, taken = 1024, 64 * 1024
            while taken - refused > 1:
                middle = (refused + taken) // 2
                code = run("copy", self.volume, self.target, "--size", f"{middle}K", *words, "--dry-run").returncode
                self.assertIn(code, (0, 6))
                refused, taken = (refused, middle) if code == 0 else (middle, taken)
            self.expect(6, "copy", self.volume, self.target, "--size", f"{refused}K", *words)
            self.assertFalse(self.target.exists())
            self.expect(0, "copy", self.volume, self.target, "--size", f"{taken}K", *words)
            self.expect(0, "verify", self.target)
            self.target.unlink()

    def test_a_volume_that_stands_there_and_is_too_small_is_kept(self):
        blocks = self.document("copy", self.volume, self.target, "--dry-run")["blocks"]
        self.expect(0, "format", self.target, "--size", f"{blocks + 100}K", "--block", 1024)
        before = self.target.read_bytes()
        for more in (("--dry-run",), ()):
            self.assertIn("larger target", self.expect(6, "copy", self.volume, self.target, *more).stderr)
        self.assertTrue(self.target.read_bytes() == before)

    def test_a_target_that_another_process_has_is_refused(self):
        self.expect(0, "format", self.target, "--size", "64M", "--block", 1024)
        with open(self.target, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            self.expect(5, "copy", self.volume, self.target)
        with open(self.volume, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            self.expect(5, "copy", self.volume, self.target)
        self.expect(0, "copy", self.volume, self.target)

    def test_a_damaged_source_ends_the_copy_and_is_named(self):
        data = next(path.read_bytes() for path in sorted((self.tree / "folder5").iterdir()) if path.stat().st_size >= 5000)
        with open(self.volume, "r+b") as image:
            at = image.read().find(data[:1024])
            image.seek(at)
            image.write(bytes([data[0] ^ 1]))
        done = self.expect(4, "copy", self.volume, self.target)
        self.assertIn(f": {self.volume}: ", done.stderr)
        self.assertIn("checksum", done.stderr)
        with open(self.volume, "r+b") as image:
            image.seek(at)
            image.write(data[:1])
        self.assertTrue(self.document("copy", self.volume, self.target)["resumed"])
        self.expect_copied()

    def start(self, seconds, how, *words):
        with subprocess.Popen([str(PROGRAM), "copy", str(self.volume), str(self.target), *words], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              text=True) as child:
            try:
                _, errors = child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                child.send_signal(how)
                _, errors = child.communicate(timeout=60)
            return child.returncode, errors

    def expect_sound_part(self):
        """The target is consistent, and nobody takes it for a copy that is complete."""
        findings = json.loads(run("verify", self.target, "--json").stdout)["findings"]
        self.assertIn(findings, ([], ["the volume is an unfinished copy"]))
        if findings:
            before = self.target.read_bytes()
            for words in (("ls",), ("export", self.folder / "out"), ("import", self.tree), ("age", "--seed", 1, "--until", "0.5"),
                          ("region-add", "MINE", "8K"), ("region-add", "MINE", "8K", "--dry-run"), ("region-remove", "LOGS", 0),
                          ("region-pin", "LOGS", 0), ("region-write", "LOGS", 0, self.folder / "log"),
                          ("region-read", "LOGS", 0, self.folder / "region"), ("compact",), ("compact", "--dry-run"), ("evacuate", "--from", 0),
                          ("evacuate", "--from", 0, "--dry-run"), ("shrink", "--to", "40M"), ("shrink", "--to", "40M", "--dry-run"), ("grow", "--to", "200M"),
                          ("grow", "--to", "200M", "--dry-run"), ("migrate-records", "--width", 160), ("migrate-records", "--width", 160, "--dry-run"),
                          ("migrate-records", "--cancel"), ("defrag-start",), ("defrag-start", "--dry-run")):
                self.assertIn("unfinished copy", self.expect(4, words[0], self.target, *words[1:]).stderr)
            self.assertTrue(self.target.read_bytes() == before, "who is refused has changed nothing")
            for words in (("verify", "--repair", "--dry-run"), ("verify", "--repair")):
                said = self.expect(4, words[0], self.target, *words[1:]).stdout
                self.assertIn("run the 'ashlar copy' that makes it once more to finish it, or delete it", said)
                self.assertNotIn("import the file", said)
            self.assertEqual(len(self.target.read_bytes()), len(before))

    def test_control_c_stops_and_the_same_command_goes_on(self):
        for how in (signal.SIGINT, signal.SIGTERM):
            code, errors = self.start(1.0, how, "--rate", "1M", "--size", "80M")
            self.assertEqual(code, 130, errors)
            self.assertIn("run the same command to go on", errors)
            self.expect_sound_part()
        other = self.folder / "other.ash"
        self.assertIn("unfinished copy", self.expect(1, "copy", self.target, other).stderr)
        self.assertFalse(other.exists())
        self.expect(0, "format", other, "--size", "64M", "--block", 1024)
        self.assertIn("unfinished copy of another volume", self.expect(1, "copy", other, self.target).stderr)
        self.expect(2, "copy", self.volume, self.target, "--size", "64M")
        self.expect(2, "copy", self.volume, self.target, "--record-bytes", 160)
        done = self.document("copy", self.volume, self.target, "--size", "80M")
        self.assertTrue(done["resumed"])
        self.assertLess(done["objects_copied"], done["objects"])
        self.expect_copied()

    def test_an_unfinished_copy_whose_records_are_too_narrow_now_is_to_be_made_anew(self):
        self.assertEqual(self.start(1.0, signal.SIGINT, "--rate", "1M")[0], 130)
        self.expect(0, "migrate-records", self.volume, "--width", 160)
        add_feature(self.volume, 3, 16)
        for options in ((), ("--dry-run",)):
            said = self.expect(1, "copy", self.volume, self.target, *options).stderr
            self.assertIn("--record-bytes 152", said)
            self.assertNotIn("migrate-records", said, "which an unfinished copy refuses")
        self.target.unlink()
        self.expect(0, "copy", self.volume, self.target, "--record-bytes", 152)
        self.expect_copied()

    def test_a_kill_at_any_moment_and_the_same_command_goes_on(self):
        numbers = random.Random(12)
        for seconds in [numbers.uniform(0.01, 0.2) for _ in range(6)] + [2.4]:
            code, errors = self.start(seconds, signal.SIGKILL, "--rate", "1M")
            self.assertEqual(code, -signal.SIGKILL, errors)
            if self.target.exists():
                self.expect_sound_part()
        done = self.document("copy", self.volume, self.target)
        self.assertTrue(done["resumed"])
        self.assertLess(done["blocks_copied"], done["blocks"], "what was copied before the kill is kept")
        self.expect_copied()
        self.assertEqual([name for name in os.listdir(self.folder) if "target" in name], ["target.ash"])

    def test_the_rate_is_kept(self):
        done = self.document("copy", self.volume, self.target, "--rate", "4M")
        self.assertGreater(done["seconds"], (done["bytes_copied"] - MEBIBYTE) / (4 * MEBIBYTE))


class Migrations(ProgramTest):
    def setUp(self):
        super().setUp()
        self.format()
        self.top = self.make_tree(files=1500)
        self.expect(0, "import", self.volume, self.top)

    def expect_all(self):
        self.export_and_compare(self.top)
        self.expect(0, "verify", self.volume)

    def test_records_become_wider_and_narrower_as_planned(self):
        before = self.volume.read_bytes()
        plan = self.document("migrate-records", self.volume, "--width", 200, "--dry-run")
        self.assertEqual(self.volume.read_bytes(), before)
        self.assertGreater(plan["planned_records"], 1000)
        self.assertEqual((plan["bytes_read"], plan["bytes_written"]), (plan["planned_records"] * 136, plan["planned_records"] * 200))
        self.assertIn("nothing was written", self.expect(0, "migrate-records", self.volume, "--width", 200, "--dry-run").stdout)
        done = self.document("migrate-records", self.volume, "--width", 200)
        self.assertEqual((done["width_before"], done["width"], done["resumed"]), (136, 200, False))
        self.assertEqual((done["records"], done["blocks"]), (plan["planned_records"], plan["planned_blocks"]))
        self.expect_all()
        again = self.document("migrate-records", self.volume, "--width", 200)
        self.assertEqual((again["records"], again["width"]), (0, 200))
        self.assertIn("would lose", self.expect(1, "migrate-records", self.volume, "--width", 112).stderr)
        self.assertIn("records have 144 bytes", self.expect(0, "migrate-records", self.volume, "--width", 144).stdout)
        self.expect_all()

    def stop(self, how, *words):
        with subprocess.Popen([str(PROGRAM), "migrate-records", str(self.volume), "--width", "256", *words], stdout=subprocess.DEVNULL,
                              stderr=subprocess.PIPE, text=True) as child:
            time.sleep(0.5)
            child.send_signal(how)
            errors = child.communicate(timeout=60)[1]
        self.assertEqual(child.returncode, -how if how == signal.SIGKILL else 130, errors)
        if how != signal.SIGKILL:
            self.assertIn("to go on", errors)

    def test_what_is_stopped_goes_on_or_back(self):
        for how in (signal.SIGINT, signal.SIGKILL):
            self.stop(how, "--rate", "40K")
            self.expect_all()
        self.expect(5, "migrate-records", self.volume, "--width", 200)
        self.expect(5, "migrate-records", self.volume, "--width", 200, "--dry-run")
        done = self.document("migrate-records", self.volume, "--width", 256)
        self.assertEqual((done["width"], done["resumed"]), (256, True))
        self.expect_all()
        self.document("migrate-records", self.volume, "--width", 160)
        self.stop(signal.SIGTERM, "--rate", "40K")
        back = self.document("migrate-records", self.volume, "--cancel")
        self.assertEqual(back["width"], 160)
        self.assertIn("cancelled", back["stopped"])
        self.expect_all()


    @unittest.skipUnless(can_inject(), "needs strace")
    def test_a_migration_is_undone_until_its_swap_and_then_it_says_that_it_is_too_late(self):
        before, said = self.volume.read_bytes(), []
        for number in range(1, 60):
            if run_with_sync("signal=KILL", number, "migrate-records", self.volume, "--width", 256).returncode == 0:
                break
            done = run("migrate-records", self.volume, "--cancel")
            width = self.document("migrate-records", self.volume, "--width", 256, "--dry-run")["width_before"]
            said.append(done.stdout + done.stderr)
            self.assertEqual(done.returncode, 1 if "too late to undo the migration: the records have 256 bytes already" in said[-1] else 0, said[-1])
            if "no migration is under way" not in said[-1]:
                self.assertEqual(width, 256 if done.returncode == 1 else 136, said[-1])
            self.expect(0, "verify", self.volume)
            self.volume.write_bytes(before)
        self.assertEqual([any(words in text for text in said) for words in ("no migration is under way", "it went on where it was stopped", "too late")],
                         [True, True, True], said)


class OtherProcesses(ProgramTest):
    def test_a_volume_in_use_is_refused_by_all_who_write_and_force_does_not_help(self):
        self.format()
        with open(self.volume, "rb") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            self.expect(0, "info", self.volume)
            self.expect(5, "import", self.volume, self.make_tree(files=1))
            fcntl.flock(held, fcntl.LOCK_EX)
            self.expect(5, "info", self.volume)
            self.expect(5, "format", self.volume, "--force")
        self.expect(0, "verify", self.volume)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_a_file_that_may_not_be_read_ends_the_import_and_is_named(self):
        self.format()
        os.chown(self.volume, NOBODY, NOBODY)
        tree = self.make_tree(files=40)
        (tree / "folder3" / "file3").chmod(0)
        done = self.expect(1, "import", self.volume, tree, user=NOBODY, group=NOBODY, extra_groups=[])
        self.assertIn("folder3/file3", done.stderr)
        self.assertEqual(self.document("ls", self.volume)["entries"], [])
        self.expect(0, "verify", self.volume)
        (tree / "folder3").chmod(0)
        self.assertIn("folder3", self.expect(1, "import", self.volume, tree, user=NOBODY, group=NOBODY, extra_groups=[]).stderr)
        self.assertEqual(self.document("info", self.volume)["objects"], 1, "a failed import leaves no object")

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become somebody else")
    def test_a_read_only_file_is_read_and_not_written(self):
        self.format()
        tree = self.make_tree(files=4)
        self.volume.chmod(0o444)
        other = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self.expect(0, "info", self.volume, **other)
        self.expect(1, "import", self.volume, tree, **other)
        self.expect(1, "format", self.volume, "--force", **other)

    def test_what_is_not_there_is_not_found(self):
        self.expect(3, "info", self.volume)
        self.assertFalse(self.volume.exists())
        self.format()
        self.expect(3, "import", self.volume, self.folder / "nowhere")
        self.expect(3, "export", self.volume, self.folder / "out")

    def test_a_volume_inside_of_the_folder_is_not_imported_into_itself(self):
        self.format()
        self.expect(1, "import", self.volume, self.folder)


class Interruptions(ProgramTest):
    def setUp(self):
        super().setUp()
        self.tree = self.make_tree(files=600)
        self.format(96 * MEBIBYTE, 512)

    def stop(self, seconds, how, *words):
        """Starts a command and stops it after a while; answers its exit code and its errors."""
        with subprocess.Popen([str(PROGRAM), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
            try:
                _, errors = child.communicate(timeout=seconds)
            except subprocess.TimeoutExpired:
                child.send_signal(how)
                _, errors = child.communicate(timeout=60)
            return child.returncode, errors

    def test_control_c_stops_and_says_how_to_go_on(self):
        code, errors = self.stop(0.03, signal.SIGINT, "import", self.volume, self.tree)
        self.assertIn(code, (0, 130))
        if code == 130:
            self.assertIn("again", errors)
            self.assertEqual(self.document("ls", self.volume)["entries"], [], "half an import shows nothing")
        self.expect(0, "import", self.volume, self.tree)
        self.expect(0, "age", self.volume, "--seed", 2, "--until", "0.5")
        code, errors = self.stop(1.0, signal.SIGINT, "defrag-start", self.volume, "--intensity", "low")
        self.assertEqual(code, 130)
        self.assertIn("to go on", errors)
        self.expect(0, "verify", self.volume)
        self.expect(0, "defrag-start", self.volume, "--intensity", "high")
        self.assertEqual(self.document("defrag-analyze", self.volume)["fragmented_objects"], 0)
        self.export_and_compare(self.tree)

    def test_a_kill_at_any_moment_loses_nothing(self):
        numbers = random.Random(11)
        for _ in range(3):
            self.stop(numbers.uniform(0.02, 0.2), signal.SIGKILL, "import", self.volume, self.tree)
            self.expect(0, "verify", self.volume)
        self.expect(0, "import", self.volume, self.tree)
        for command in (("age", "--seed", 3, "--until", "0.4"), ("defrag-start", "--intensity", "high")):
            for _ in range(3):
                self.stop(numbers.uniform(0.05, 0.5), signal.SIGKILL, command[0], self.volume, *command[1:])
                self.expect(0, "verify", self.volume)
                self.export_and_compare(self.tree)
        self.expect(0, "age", self.volume, "--seed", 4, "--until", "0.45")
        leftover = self.document("info", self.volume)["objects"] - self.document("ls", self.volume)["files"]
        self.assertLessEqual(leftover, 2, "fillers of killed commands are gone: the root and the catalogue are left")
        self.export_and_compare(self.tree)

    def test_ageing_keeps_every_byte_and_repeats_itself(self):
        self.expect(0, "import", self.volume, self.tree)
        shutil.copy(self.volume, self.folder / "twin.ash")
        first = self.document("age", self.volume, "--seed", 5, "--until", "0.4")
        second = self.document("age", self.folder / "twin.ash", "--seed", 5, "--until", "0.4")
        self.assertEqual([first[key] for key in ("object_fragmentation", "blocks_rewritten", "free_runs")],
                         [second[key] for key in ("object_fragmentation", "blocks_rewritten", "free_runs")])
        self.assertGreaterEqual(first["object_fragmentation"], 0.4)
        self.export_and_compare(self.tree)

    def test_what_cannot_be_reached_is_said_before_anything_is_changed(self):
        self.expect(0, "import", self.volume, self.tree)
        before = self.volume.read_bytes()
        self.assertIn("at most", self.expect(1, "age", self.volume, "--seed", 1, "--until", "0.99").stderr)
        self.assertEqual(len(before), self.volume.stat().st_size)
        self.export_and_compare(self.tree)

    def test_a_dry_run_moves_nothing(self):
        self.expect(0, "import", self.volume, self.tree)
        self.expect(0, "age", self.volume, "--seed", 6, "--until", "0.4", "--quiet")
        before = self.volume.read_bytes()
        self.assertGreater(self.document("defrag-start", self.volume, "--dry-run")["moves"], 0)
        self.assertEqual(self.volume.read_bytes(), before)


if __name__ == "__main__":
    PROGRAM = Path(sys.argv.pop(1)).resolve()
    unittest.main(verbosity=2)
