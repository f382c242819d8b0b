"""What others need for the same questions about the same heap, in one run: the live interpreter itself, pympler, guppy3, PyHeap, chap.

    cargo build --release && python3 benches/compare.py target/release/exuvia --records 1000000
    python3 benches/compare.py EXUVIA --python PYTHON --records 100000 --chap CHAP --pyheap PYHEAP_DUMP --rounds 3

A process makes a heap of about ten objects a record, with a fifth as many garbage objects as records, and answers questions about itself; a core
of it is written with gcore (gdb) before, so that nothing that looks has been there. Tools that are not there are left out by name: pympler and guppy3
are asked in the process (they must be importable by PYTHON), PyHeap dumps it (`--pyheap`: the dumper's program), chap opens the core (`--chap`).
Times are by the clock and of the processor, of the round that took least, since other work only ever adds; memory is what a process has besides
mapped files. Of PyHeap, whose dumper makes the process work, the processor's share is not known.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

HEAP = r'''
import gc, json, os, sys, time

class Node:
    def __init__(self, payload, ident):
        self.payload, self.ident, self.next = payload, ident, None

class Session:
    def __init__(self, name):
        self.name, self.nodes, self.by_id = name, [], {}

def build(records):
    pool = ["shared-%d" % i for i in range(1000)]
    sessions = {}
    for i in range(records):
        if i % 1000 == 0:
            session = sessions["session-%d" % (i // 1000)] = Session("session-%d" % (i // 1000))
        record = {"id": 1000000 + i, "name": "record number %d" % i, "tags": [pool[i % 1000], "own-%d" % i], "at": (i * 0.5, -i * 0.25)}
        node = Node(record, record["id"])
        session.nodes.append(node)
        session.by_id[record["id"]] = node
    for i in range(records // 5):
        lonely = ["lonely %d" % i]
        lonely.append(lonely)
    return sessions

def histogram():
    """Types of everything that is reachable from what the collector tracks: its own list has no str and no int."""
    seen, stack, types = set(), gc.get_objects(), {}
    seen.update(map(id, stack))
    while stack:
        some, stack = stack, []
        for found in some:
            entry = types.setdefault(type(found), [0, 0])
            entry[0] += 1
            entry[1] += sys.getsizeof(found)
        for found in gc.get_referents(*some):
            if id(found) not in seen:
                seen.add(id(found))
                stack.append(found)
    return len(seen)

def pympler():
    from pympler import muppy, summary
    return len(summary.summarize(muppy.get_objects()))

def guppy():
    from guppy import hpy
    return hpy().heap().count

def guppy_retained():
    from guppy import hpy
    return hpy().iso(SESSIONS).domisize

def run_until(path):
    """Debuggers that run code in a process wait until C code calls Python in it."""
    while not os.path.exists(path):
        list(map(lambda seconds: time.sleep(seconds), [0.01]))

gc.disable()
SESSIONS = build(int(sys.argv[1]))
QUESTIONS = {
    "gc.get_referrers() of one object": lambda: len(gc.get_referrers(SESSIONS["session-0"].nodes[0])),
    "a histogram of types, in Python": histogram,
    "pympler: muppy and summary": pympler,
    "guppy3: heap()": guppy,
    "guppy3: domisize of one object": guppy_retained,
    "gc.collect()": gc.collect,
    "run until": run_until,
}
print("ready", flush=True)
for name in sys.stdin:
    name, _, argument = name.strip().partition("\t")
    started, processor = time.perf_counter(), time.process_time()
    try:
        answer = QUESTIONS[name](*argument.split())
    except Exception as error:
        print(json.dumps([None, "%s: %s" % (type(error).__name__, error)]), flush=True)
        continue
    print(json.dumps([[time.perf_counter() - started, time.process_time() - processor], str(answer)]), flush=True)
'''

LIVE = [
    "gc.get_referrers() of one object",
    "a histogram of types, in Python",
    "pympler: muppy and summary",
    "guppy3: heap()",
    "guppy3: domisize of one object",
    # Last: afterwards there is no garbage any more.
    "gc.collect()",
]

EXUVIA = [
    ("overview, no index", ["overview", "CORE", "--no-index"]),
    ("types, no index", ["types", "CORE", "--no-index"]),
    ("index", ["index", "CORE"]),
    ("referrers of one object, index", ["referrers", "CORE", "__main__.SESSIONS['session-0']"]),
    ("paths to one object, index", ["paths", "CORE", "__main__.SESSIONS['session-0']"]),
    ("show, index", ["show", "CORE", "__main__.SESSIONS"]),
    ("types --retained, index", ["types", "CORE", "--retained"]),
]


def anonymous(pid):
    """Bytes of memory that are no file's."""
    try:
        with open("/proc/%d/status" % pid) as status:
            return next((int(line.split()[1]) << 10 for line in status if line.startswith("RssAnon")), 0)
    except OSError:
        return 0


def timed(command, **options):
    """Seconds by the clock and of processor, and the most anonymous memory that was seen."""
    started, most = time.perf_counter(), 0
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors, **options)
        ended, status, used = 0, 0, None
        while not ended:
            most = max(most, anonymous(process.pid))
            time.sleep(0.002)
            ended, status, used = os.wait4(process.pid, os.WNOHANG)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            errors.seek(0)
            raise SystemExit("%s failed: %s" % (" ".join(command), errors.read().decode()))
    return (seconds, used.ru_utime + used.ru_stime), most


def ask(heap, name, argument=""):
    heap.stdin.write("%s\t%s\n" % (name, argument))
    heap.stdin.flush()


def answer(heap):
    """Seconds by the clock and of processor, none if it failed, and what it said."""
    return json.loads(heap.stdout.readline())


def row(name, seconds, memory=None, note=""):
    size = "" if memory is None else "%.0f MB" % (memory / 1e6)
    clock, processor = ("-" if one is None else "%.3f s" % one for one in seconds or (None, None))
    print("%-44s %12s %12s %10s  %s" % (name, clock, processor, size, note), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("exuvia")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--records", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--chap", help="chap's program")
    parser.add_argument("--pyheap", help="PyHeap's dumper")
    parser.add_argument("--directory", help="where the core is written; needs room for it and its index")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory) as folder:
        heap = subprocess.Popen([options.python, "-c", HEAP, str(options.records)], stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, text=True)
        assert heap.stdout.readline() == "ready\n"
        print("%-44s %12s %12s %10s" % ("", "clock", "processor", "anonymous"))
        memory = anonymous(heap.pid)
        subprocess.run(["gcore", "-o", os.path.join(folder, "core"), str(heap.pid)], check=True,
                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        core = os.path.join(folder, "core.%d" % heap.pid)
        row("the process", None, memory, "its core: %.0f MB" % (os.path.getsize(core) / 1e6))
        for name, command in EXUVIA:
            words = [core if word == "CORE" else word for word in command]
            if name == "index":
                rounds = [timed([options.exuvia] + words)]
            else:
                rounds = [timed([options.exuvia] + words) for _ in range(options.rounds)]
            row("exuvia " + name, min(seconds for seconds, _ in rounds), max(memory for _, memory in rounds))
        if options.chap:
            seconds, memory = timed([options.chap, core], stdin=subprocess.DEVNULL)
            row("chap: opening the core", seconds, memory)
        if options.pyheap:
            dump, done = os.path.join(folder, "heap.pyheap"), os.path.join(folder, "done")
            ask(heap, "run until", done)
            seconds, _ = timed([sys.executable, options.pyheap, "--pid", str(heap.pid), "--file", dump])
            open(done, "w").close()
            answer(heap)
            row("PyHeap: dumping the process", (seconds[0], None), anonymous(heap.pid), "dump: %.0f MB" % (os.path.getsize(dump) / 1e6))
        for name in LIVE:
            rounds = []
            for _ in range(1 if name == "gc.collect()" else options.rounds):
                ask(heap, name)
                seconds, found = answer(heap)
                rounds.append(seconds)
            note = "" if rounds[0] is not None else found
            row("live: " + name, None if rounds[0] is None else min(rounds), anonymous(heap.pid), note)
        heap.stdin.close()
        heap.wait()


main()
