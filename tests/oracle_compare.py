"""Compare `exuvia dev dump` with an oracle that is not ours.

    python3 oracle_compare.py EXUVIA ORACLE_DIR [--python CELL]... [--expect CELL,...] [--cores DIR]

ORACLE_DIR holds small.py and oracle.py (its README gives their file formats). For each interpreter
(those named, or the default and free-threaded builds from 3.11 on that fixtures/interpreters.py finds): run small.py, let it
write what the interpreter says of its heap, take a core with gcore, dump that core with EXUVIA, and compare
objects (type and size), referents, garbage, tracked objects and the allocator's figures.

DIR holds cores made elsewhere: NAME/{core,oracle.*}, each file with .zst behind it or not. They are compared
in the same way, without the interpreters they are of.

That oracle is written by a forked child, which runs Python before it looks. What this changes is
listed object by object, and each is justified by the memory of the core, read here without EXUVIA
(fixtures/elfcore.py): the core must not hold the object the child speaks of. Any difference that is
not justified so fails. Exit status 0: none is left.
"""
import argparse
import array
import collections
import json
import os
import signal
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "fixtures"))
import elfcore  # noqa: E402
import interpreters  # noqa: E402

TIME_LIMIT = 300                        # seconds for one program
PRINT_KEYWORDS = ("sep", "end", "file", "flush")
# What the child holds when it asks the allocator: block size -> (greatest difference, what it is).
# That part of the oracle is text without addresses, so these cannot be told one by one.
CHILD_BLOCKS = {
    32: (16, "ints and floats: thread identities, the time, counts"),
    48: (16, "short strings and lock objects of either side"),
    64: (16, "strings; the dicts and tuples of gc.get_stats(), get_count() and get_threshold()"),
    80: (2, "tuples of either side"),
    128: (2, "strings of either side"),
    208: (1, "the keys of the child's dict of results"),
}


REACH = 1 << 18                         # bytes of a table that an object points to: that of the dict of interned names
BEFORE, BEHIND = 64, 512                # bytes of an object around those of sys.getsizeof: pointers to a dict, inline values
# How many objects of a type may have references that only machine code tells: a function that the object brings along, items
# behind it, tables in the state of _decimal and _zstd (docs/without-debug-information.md).
CODE_TELLS = {"builtins.PyCapsule": 1, "builtins.hamt_bitmap_node": 1, "builtins.module": 2}


class Header:
    """PyObject of a build, and the length behind it in str and tuple (Include/object.h)."""

    def __init__(self, core, version):
        self.core = core
        self.free_threaded = "free-threading build" in version
        minor = tuple(int(n) for n in version.split()[0].split("rc")[0].split(".")[:2])
        self.new, self.tagged_ints = minor >= (3, 14), minor >= (3, 12)
        self.type_at = 24 if self.free_threaded else 8
        self.size = self.type_at + 8

    def type_of(self, i):
        return self.core.word(i + self.type_at)

    def length(self, i):
        return self.core.word(i + self.size)

    def digits(self, i):
        """How many digits an int has: above three bits from 3.12 on, before as a length with a sign."""
        word = self.core.word(i + self.size)
        return word >> 3 if self.tagged_ints else min(word, 2 ** 64 - word)

    def is_dead(self, i):
        """Whether what lies there was freed. Allocators keep a list of free blocks in their first words."""
        if self.free_threaded:          # the owner's count and the shared count, whose two low bits are flags
            return self.core.word(i + 8) >> 32 == 0 and self.core.word(i + 16) >> 2 == 0
        count = self.core.word(i)
        if count == 0 or count >> 14 == i >> 14 or self.new and count & 2 ** 32 - 1 == 0:
            return True
        return count >> 32 != 0 and self.core.word(count) is not None      # the next one of a list of free objects


def numbers(path):
    with open(path, "rb") as f:
        return array.array("Q", f.read())


def triples(path):
    """id -> (id of type, size)"""
    a = numbers(path)
    return {a[k]: (a[k + 1], a[k + 2]) for k in range(0, len(a), 3)}


def records(path):
    """id -> Counter of referents"""
    a, out, k = numbers(path), {}, 0
    while k < len(a):
        out[a[k + 1]] = collections.Counter(a[k + 2:k + 2 + a[k]])
        k += 2 + a[k]
    return out


def size_classes(path):
    """block size -> (pools, blocks in use)"""
    out = {}
    with open(path) as f:
        for line in f:
            words = line.split()
            if len(words) == 5 and all(w.isdigit() for w in words):
                out[int(words[1])] = (int(words[2]), int(words[3]))
    return out


class Comparison:
    """One core against one oracle."""

    def __init__(self, core, oracle, ours, files):
        self.core = elfcore.Core(core)
        with open(oracle + ".json") as f:
            self.summary = json.load(f)
        self.header = Header(self.core, self.summary["python"])
        by_type = self.summary.get("by_type_full") or self.summary["by_type"]
        self.names = {row["type_id"]: row["type"] for row in by_type}
        self.names[0] = "no type"
        self.closure = triples(oracle + ".objs.bin")
        more = oracle + ".more.bin"
        self.theirs = {**self.closure, **(triples(more) if os.path.exists(more) else {})}
        self.ours = triples(ours + ".objs.bin")
        self.edges = records(oracle + ".edges.bin")
        self.our_edges = records(ours + ".edges.bin")
        self.garbage = set(numbers(oracle + ".garbage.bin"))
        self.our_garbage = set(numbers(ours + ".garbage.bin"))
        self.tracked = set(numbers(ours + ".tracked.bin"))
        self.classes = size_classes(oracle + ".malloc.txt")
        self.our_classes = size_classes(ours + ".malloc.txt")
        self.files = files      # whether the process' files are at hand
        self.near = {}          # see words_near
        self.untold = collections.Counter()     # by type: objects with references that only machine code tells
        self.explained, self.unexplained = [], []
        self.gone = set()       # ids of the oracle under which the core has no such object
        self.dropped = set()    # ids of the core that the child replaced before it looked
        self.made_later = collections.Counter()     # block size -> objects the parent made after the fork

    def note(self, reason, text):
        (self.explained if reason else self.unexplained).append("%s: %s" % (text, reason or "UNEXPLAINED"))

    def named(self, i):
        type_id = self.theirs.get(i) or self.ours.get(i) or (0,)
        return "%#x %s" % (i, self.names.get(type_id[0], "type at %#x" % type_id[0]))

    def why_absent(self, i):
        """Why the core cannot hold the object that the oracle calls i; None if it may."""
        type_id, size = self.theirs[i]
        there = self.header.type_of(i)
        if there is None:
            return "the core has no memory there"
        if there != type_id:
            return "made by the child; the core has %s there" % self.names.get(there, "the type of no object")
        if self.header.is_dead(i):
            return "made by the child; in the core a free block"
        if self.names.get(type_id) == "builtins.str":
            length = self.header.length(i)
            # A compact ASCII string is its head (24 bytes more than PyObject, 32 before 3.12), its characters and a zero.
            if size - length not in (self.header.size + 25, self.header.size + 33):
                return "made by the child; the core has a string of %d characters there" % length
        if self.names.get(type_id) == "builtins.int":
            digits = self.header.digits(i)
            if size != self.header.size + 8 + 4 * max(digits, 1):
                return "made by the child; the core has an int of %d digits there" % digits
        absent = [m for m in self.edges.get(i, ()) if m not in self.words_near(i, size)]
        if absent:
            return "made by the child; the core has another there, which has nothing of %s" % self.named(absent[0])
        return None

    def words_near(self, i, size):
        """Every word of the object's memory in the core, and of the memory it points to: what it can refer to."""
        if i not in self.near:
            own = self.words(i - BEFORE, BEFORE + size + BEHIND)
            self.near[i] = own.union(*(self.words(at, REACH) for at in own))
        return self.near[i]

    def words(self, start, size):
        """The words of that much memory, as far as the core has it, without the bits that tag a pointer."""
        while size >= 8:
            content = self.core.read(start, size)
            if content is not None:
                return {word & ~7 for word in array.array("Q", content[:len(content) & ~7])}
            size //= 2
        return set()

    def objects(self):
        for i, expected in self.theirs.items():
            if self.ours.get(i) != expected:
                reason = self.why_absent(i)
                if reason:
                    self.gone.add(i)
                self.note(reason, "object %s of %d bytes" % (self.named(i), expected[1]))

    def referents(self):
        for i, expected in self.edges.items():
            found = self.our_edges.get(i, collections.Counter())
            if found == expected or i in self.gone:
                continue
            missing, surplus = expected - found, found - expected
            # The child put objects of its own in the place of others, which it let go.
            replaced = (all(m in self.gone for m in missing)
                        and all(s not in self.theirs or s in self.gone for s in surplus)
                        and sum(missing.values()) == sum(surplus.values()))
            if replaced:
                self.dropped.update(surplus)
            reason = "the child's after-fork handlers replace them" if replaced else None
            if reason is None and i in self.ours:
                words = self.words_near(i, self.ours[i][1])
                if all(s in words for s in surplus) and not any(m in words and m not in self.gone for m in missing):
                    reason = "the core's memory has these and has not those"
                    self.dropped.update(surplus)
            if reason is None and not self.files and not surplus:
                name = self.names[self.theirs[i][0]]
                self.untold[name] += 1
                if self.untold[name] <= CODE_TELLS.get(name, 0):
                    reason = "told by machine code only, and this core is without files"
            text = "referents of %s: %s in the place of %s" % (
                self.named(i), ", ".join(map(self.named, surplus)), ", ".join(map(self.named, missing)))
            self.note(reason, text)

    def text(self, i):
        """A short ASCII string of the core."""
        length = self.header.length(i)
        head = self.ours[i][1] - length - 1
        return self.core.read(i + head, length).decode("ascii", "replace")

    def tracked_sets(self):
        holders = collections.defaultdict(set)
        for holder, referents in self.our_edges.items():
            for i in referents:
                holders[i].add(holder)
        for i in sorted(self.tracked - set(self.closure)):
            reason = None
            names = self.our_edges.get(i, ())
            if i in self.dropped or holders[i] and holders[i] <= self.dropped:
                reason = "replaced by the child's after-fork handlers"
            elif self.names.get(self.ours[i][0]) == "builtins.tuple" and len(names) == len(PRINT_KEYWORDS):
                if {self.text(k) for k in names} == set(PRINT_KEYWORDS):
                    reason = "keyword names of print(), made when the parent first prints, after the fork"
                    self.made_later[self.ours[i][1] + 15 & ~15] += 1
            self.note(reason, "tracked %s" % self.named(i))
        known = len(self.tracked & set(self.closure))
        # The rest of what is tracked in the child is the child's own; what cannot be tracked does not count.
        atomic = ("builtins.int", "builtins.str", "builtins.float", "builtins.bytes")
        own = sum(1 for i in self.gone if i in self.closure and self.names.get(self.theirs[i][0]) not in atomic)
        if not 0 <= self.summary["tracked"] - known <= own:
            self.note(None, "%d objects tracked in the child, %d of them in the core, at most %d the child's own"
                      % (self.summary["tracked"], known, own))

    def garbage_sets(self):
        for i in sorted(self.garbage ^ self.our_garbage):
            self.note(None, "garbage %s, %s" % (self.named(i), "not found" if i in self.garbage else "surplus"))

    def allocator(self):
        shifts = []
        for size in sorted(set(self.classes) | set(self.our_classes)):
            expected, found = self.classes.get(size, (0, 0)), self.our_classes.get(size, (0, 0))
            if expected == found:
                continue
            bound, what = CHILD_BLOCKS.get(size, (0, None))
            difference = expected[1] - found[1] + self.made_later[size]
            fits = expected[0] == found[0] and abs(difference) <= bound
            what = what or "listed above"
            shifts.append("%d bytes %+d" % (size, difference))
            self.note(what if fits else None, "blocks of %d bytes: %s pools and %s blocks, the oracle %s and %s"
                      % (size, *found, *expected))
        return shifts

    def run(self):
        self.objects()
        self.referents()
        self.tracked_sets()
        self.garbage_sets()
        shifts = self.allocator()
        for line in self.explained:
            print("    " + line)
        for line in self.unexplained:
            print("  ! " + line)
        print("  %d objects: %d equal in type and size; %d records of referents; %d garbage; %d tracked;"
              " allocator: %d classes, shifted: %s"
              % (len(self.theirs), sum(self.ours.get(i) == o for i, o in self.theirs.items()), len(self.edges),
                 len(self.our_garbage), len(self.tracked), len(self.classes), ", ".join(shifts) or "none"))
        print("  %d differences explained one by one, %d unexplained"
              % (len(self.explained), len(self.unexplained)), flush=True)
        return not self.unexplained


def take_core(interpreter, oracle_directory, directory):
    """Run small.py and dump it. The path of the core."""
    command = [interpreter.executable, "-B", os.path.join(oracle_directory, "small.py"),
               "--oracle", os.path.join(directory, "OUT"), "--objs", "--edges"]
    process = subprocess.Popen(command, cwd=directory, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, text=True)
    signal.signal(signal.SIGALRM, lambda *_: process.kill())
    signal.alarm(TIME_LIMIT)
    try:
        ready = process.stdout.readline()
        if not ready.startswith("READY") or "oracle=ok" not in ready:
            raise SystemExit("%s: no oracle: %r" % (interpreter.version, ready))
        subprocess.run(["gcore", "-o", "core", str(process.pid)], cwd=directory, check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return os.path.join(directory, "core.%d" % process.pid)
    finally:
        signal.alarm(0)
        process.kill()
        process.wait()


def unpacked(source, directory):
    """A copy of a directory whose .zst files are as they were. The path of its core."""
    for name in os.listdir(source):
        path, target = os.path.join(source, name), os.path.join(directory, name)
        if name.endswith(".zst"):
            subprocess.run(["zstd", "-q", "-d", "--sparse", path, "-o", target[:-4]], check=True)
        else:
            os.symlink(path, target)
    return os.path.join(directory, "core")


def compare(title, exuvia, take, oracle, files):
    """One comparison in a directory of its own; take(directory) gives the core and oracle is its oracle there."""
    with tempfile.TemporaryDirectory() as directory:
        print(title, flush=True)
        core = take(directory)
        ours = os.path.join(directory, "ours")
        subprocess.run([exuvia, "dev", "dump", core, ours], check=True)
        return Comparison(core, os.path.join(directory, oracle), ours, files).run()


def comparable(interpreter):
    """Whether what the child does leaves everything else where it was.

    Not up to 3.10, where code that it runs often gets caches, nor in debug builds, where it makes more of everything.
    """
    return interpreter.root is None and interpreter.minor >= (3, 11) and interpreter.build in ("", "t")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("exuvia")
    parser.add_argument("oracle")
    parser.add_argument("--python", action="append", default=[], metavar="CELL")
    parser.add_argument("--expect", default="", metavar="CELL,…", help="fail unless these are found (3.13, 3.13t)")
    parser.add_argument("--cores", metavar="DIR", help="cores with oracles, made elsewhere")
    options = parser.parse_args()
    exuvia = os.path.abspath(options.exuvia)
    chosen = list(interpreters.named(options.python)) or [i for i in interpreters.found() if comparable(i)]
    kinds = {"%d.%d%s" % (*i.minor, i.build) for i in chosen}
    missing = [m for m in options.expect.split(",") if m and m not in kinds]
    if missing or not chosen:
        raise SystemExit("no CPython %s with debug information was found" % ", ".join(missing or ["at all"]))
    equal = True
    for interpreter in chosen:
        def take(directory, interpreter=interpreter):
            return take_core(interpreter, os.path.abspath(options.oracle), directory)
        equal &= compare("CPython %s" % interpreter.cell({}), exuvia, take, "OUT", True)
    for name in sorted(os.listdir(options.cores)) if options.cores else ():
        source = os.path.abspath(os.path.join(options.cores, name))
        if os.path.isdir(source):
            def take(directory, source=source):
                return unpacked(source, directory)
            equal &= compare("core %s" % name, exuvia, take, "oracle", False)
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
