"""How long a process stands still while its memory is taken: `exuvia capture` against gcore, on one process in one run.

    cargo build --release && python3 benches/pause.py target/release/exuvia
    python3 benches/pause.py EXUVIA --megabytes 100 2000 --rounds 5 --python /usr/bin/python3.12 --directory /var/tmp

The process measures it itself: it looks at the clock every half millisecond, and the longest time between two looks is the
pause, whoever caused it. `exuvia` is what `exuvia capture` says. Needs gdb for gcore, and room for the cores.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

TARGET = r"""
import gc, select, sys, threading, time

class Entry:
    def __init__(self, number):
        self.number = number
        self.name = "entry %d" % number
        self.tags = [number, {"number": number}]

gc.disable()
wanted, threads = int(sys.argv[1]) << 20, int(sys.argv[2])
def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * 4096
kept = []
while resident() < wanted:
    kept.extend(Entry(number) for number in range(len(kept), len(kept) + 10000))
gc.freeze()
for _ in range(threads):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print(len(kept), resident(), flush=True)
longest, last = 0, time.monotonic()
while True:
    readable = select.select([sys.stdin], [], [], 0.0005)[0]
    now = time.monotonic()
    longest, last = max(longest, now - last), now
    if readable:
        if not sys.stdin.readline():
            break
        print(longest, flush=True)
        longest, last = 0, time.monotonic()
"""


class Target:
    def __init__(self, python, megabytes, threads):
        self.process = subprocess.Popen([python, "-c", TARGET, str(megabytes), str(threads)],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.objects, self.resident = map(int, self.process.stdout.readline().split())
        self.longest()

    def longest(self):
        """Seconds that it stood still since it was asked last."""
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def measured(target, command):
    """Seconds that the process stood still, seconds that the command took, its output."""
    time.sleep(0.5)
    target.longest()
    begun = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    took = time.monotonic() - begun
    if done.returncode:
        raise SystemExit("%s: %s" % (" ".join(command), done.stderr))
    return target.longest(), took, done.stdout


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("exuvia")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[100, 2000], help="resident size of the process")
    parser.add_argument("--threads", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--directory", default="/var/tmp", help="where the cores go, and are deleted")
    options = parser.parse_args()
    directory = tempfile.mkdtemp(prefix="pause-", dir=options.directory)
    environment = dict(os.environ, TMPDIR=directory)
    os.environ.update(environment)
    try:
        for megabytes in options.megabytes:
            target = Target(options.python, megabytes, options.threads)
            rows = []
            for _ in range(options.rounds):
                core = os.path.join(directory, "core")
                pause, took, text = measured(target, [options.exuvia, "capture", str(target.process.pid), "--raw",
                                                      "--force", "--json", "-o", core])
                told = json.loads(text)["result"]["pause_microseconds"] / 1e6
                size = os.stat(core).st_blocks * 512
                os.unlink(core)
                gcore, gcore_took, _ = measured(target, ["gcore", "-o", core, str(target.process.pid)])
                os.unlink("%s.%d" % (core, target.process.pid))
                rows.append((pause, told, took, gcore, gcore_took))
            print("%d MB resident, %d threads, core of %d MB; milliseconds, median (least to most) of %d"
                  % (target.resident >> 20, options.threads + 1, size >> 20, options.rounds))
            names = ("exuvia capture: pause seen", "exuvia capture: pause told", "exuvia capture: all",
                     "gcore: pause seen", "gcore: all")
            for name, values in zip(names, zip(*rows)):
                print("  %-28s %8.0f (%.0f to %.0f)" % (name, statistics.median(values) * 1e3,
                                                      min(values) * 1e3, max(values) * 1e3))
            print("  gcore's pause is %.0f times as long (least: %.0f)"
                  % (statistics.median(row[3] / row[0] for row in rows), min(row[3] / row[0] for row in rows)))
            sys.stdout.flush()
            target.end()
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
