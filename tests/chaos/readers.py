"""Readers that stay: tail -f of a log, and a read of wait/ended, each in a process of its own.

They live through a server's death without noticing. Only when the mount itself was lost may they be told so, and begin anew.
"""
import json
import os
import select
import signal
import subprocess
import time

from calls import Failure, PodLost, Unsure, Calls
from world import LOSSES

GRACE = 120 # of a reader whose answer has come, or must come


class Follower:
    """tail -f from the first line on; what it printed is kept in a file."""

    def __init__(self, calls, pod, c, program):
        self.path = calls.path(pod.name, "logs", c.name)
        self.program = ["setpriv", "--pdeathsig", "KILL"] + program.split(" ") + ["-n", "+1", "-f"] + (["-s", "0.2"] if program == "tail" else [])
        self.file = os.path.join(calls.world.top, f"tail.{c.tag}")
        self.begin(calls)

    def begin(self, calls):
        self.since = calls.before()
        with open(self.file, "wb") as out, open(self.file + ".err", "wb") as err:
            self.job = subprocess.Popen(self.program + [self.path], stdin=subprocess.DEVNULL, stdout=out, stderr=err)

    def end(self):
        self.job.kill()
        self.job.wait()

    def compare(self, calls, pod, text):
        """It has printed what the log had, each byte once."""
        want = text.encode()
        deadline = time.monotonic() + 60
        while True:
            with open(self.file, "rb") as f:
                got = f.read(len(want))
            if got == want:
                return
            if calls.world[LOSSES] != self.since.losses or (self.job.poll() is not None and calls.mount_lost(self.since)):
                self.end()
                calls.again(lambda: calls.read(f"{pod.name}/status", pod))
                self.begin(calls)
                calls.trace(f"follows {self.path} anew")
                return
            with open(self.file + ".err", encoding="utf-8") as f:
                said = f.read()
            calls.check(want.startswith(got) and time.monotonic() < deadline and self.job.poll() is None,
                        f"{' '.join(self.program)} {self.path}: {len(got)} bytes of {len(want)}, ended {self.job.poll()}, said {said!r}; "
                        f"differs at {first_difference(got, want)}", pod)
            time.sleep(0.05)


def first_difference(a, b):
    n = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
    return f"{n}: {a[n:n + 60]!r} and {b[n:n + 60]!r}"


class Waiter:
    """One read that answers when the container has ended."""

    def __init__(self, calls, path):
        self.path = path
        self.pipe, theirs = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            wait_and_tell(calls.world, path, theirs)
        os.close(theirs)

    def end(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def join(self, calls, codes, pod=None, gone=False):
        """It has its answer: one of the codes, None: any. gone: what it waited for was removed, so an error is right too."""
        readable, _, _ = select.select([self.pipe], [], [], GRACE)
        if not readable:
            os.kill(self.pid, signal.SIGKILL)
        said = json.loads(os.read(self.pipe, 1 << 16) or '{"error": "it died"}') if readable else {"error": f"no answer in {GRACE} s"}
        os.close(self.pipe)
        os.waitpid(self.pid, 0)
        if "code" in said and (codes is None or int(said["code"]) in codes):
            return
        if readable and "error" in said and (gone or codes is None):
            return
        calls.check(False, f"a reader of {self.path} was told {said}, not {codes}", pod)


def answered(calls, c, codes, pod=None, gone=False):
    """Whoever waits for the end of c, if anybody does."""
    waiter, c.waiter = c.waiter, None
    if waiter:
        waiter.join(calls, codes, pod, gone)


def wait_and_tell(world, path, pipe):
    """In the child."""
    calls = Calls(world, f"reader.{os.getpid()}")
    try:
        said = {"code": calls.again(lambda: calls.read(path, seconds=3600)).strip()}
    except (Failure, PodLost, Unsure) as e:
        said = {"error": str(e)}
    os.write(pipe, json.dumps(said).encode())
    os._exit(0)
