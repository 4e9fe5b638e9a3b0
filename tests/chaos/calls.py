"""File operations with a deadline, and what their errors mean while things are being killed.

An error is explained by what was done meanwhile, or it is a failure. Explained: the outcome is not known (Unsure), or the
pod's process was killed (PodLost).
"""
import collections
import errno
import os
import signal
import time

from model import HOLDS
from world import DOWN, ENDING, LOSSES, SERVERS, STOPS

DEADLINE = 30
UP_AGAIN = 60
# Of a mount that went away; the last three are met while another is not there yet.
MOUNT_ERRORS = {errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT, errno.EROFS, errno.ENODEV}
GIVES_UP = 5 # seconds from a kill to the end of the mount, at most
CHUNK = 1 << 17


class Failure(Exception):
    """Something that must hold does not. code: the errno, if it was one."""

    def __init__(self, words, code=0):
        super().__init__(words)
        self.code = code


class Unsure(Exception):
    """Done or not: nobody can know."""


class PodLost(Exception):
    """The pod's process was killed."""


class Deadline(Exception):
    pass


def on_alarm(_sig, _frame):
    raise Deadline


Before = collections.namedtuple("Before", "at losses servers stops")


class Calls:
    def __init__(self, world, name):
        self.world, self.name = world, name
        self.slowest = {}
        self.counts = collections.Counter()
        self.trail = open(os.path.join(world.top, f"trail.{name}"), "w", buffering=1, encoding="utf-8")
        signal.signal(signal.SIGALRM, on_alarm)

    def trace(self, words):
        self.trail.write(f"{time.monotonic():.3f} {words}\n")

    def before(self):
        w = self.world
        return Before(time.monotonic(), w[LOSSES], w[SERVERS], w[STOPS])

    def path(self, *parts):
        return os.path.join(self.world.mount, *parts)

    # --- one operation ---

    def call(self, what, fn, pod=None, seconds=DEADLINE, since=None, lenient=None):
        """fn() within the time. since: when the thing that it works on was made; lenient: a key of HOLDS that excuses a failure
        after the server's death while it does not hold."""
        if not self.world.wait_up(UP_AGAIN):
            raise Failure(f"{what}: no mount after {UP_AGAIN} s")
        before = self.before()
        signal.setitimer(signal.ITIMER_REAL, seconds, 1)
        try:
            return fn()
        except Deadline:
            raise Failure(f"{what}: no answer in {seconds} s") from None
        except OSError as e:
            signal.setitimer(signal.ITIMER_REAL, 0)
            raise self.explain(what, e, since or before, pod, lenient) from None
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            self.count(what, time.monotonic() - before.at)

    def count(self, what, took):
        kind = what.split(" ")[0]
        self.counts[kind] += 1
        if took > self.slowest.get(kind, (0,))[0]:
            self.slowest[kind] = (took, what)

    def explain(self, what, e, before, pod, lenient):
        """What to raise for an OSError."""
        w = self.world
        if pod and self.killed(pod):
            return PodLost(f"{what}: {e.strerror}")
        if e.errno in MOUNT_ERRORS and self.mount_lost(before):
            return Unsure(f"{what}: {e.strerror}, the mount was lost")
        if e.errno == errno.ETIMEDOUT and w[STOPS] != before.stops:
            return Unsure(f"{what}: {e.strerror}, something was stopped")
        if lenient and not HOLDS[lenient] and w[SERVERS] != before.servers:
            self.counts[f"excused:{lenient}"] += 1
            return Unsure(f"{what}: {e.strerror}, the server was killed")
        return Failure(f"{what}: {e.strerror}", e.errno)

    def mount_lost(self, before):
        """The keeper may have given up, which the killer notices a moment later."""
        w = self.world
        kills = w.kills()
        deadline = kills[-1][0] + GIVES_UP if kills else 0
        while w[LOSSES] == before.losses:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def server_died(self, before):
        return self.world[SERVERS] != before.servers or self.world[LOSSES] != before.losses

    def killed(self, pod):
        """Since the model last knew."""
        return self.world.pod_kills(pod.uid, pod.name, pod.born) > pod.kills

    def check(self, holds, words, pod=None):
        if holds:
            return
        if pod and self.killed(pod):
            raise PodLost(words)
        raise Failure(words)

    # --- what can be done again ---

    def again(self, fn):
        """Until it is sure."""
        for _ in range(50):
            try:
                return fn()
            except Unsure as why:
                self.trace(f"again: {why}")
        raise Failure(f"unsure 50 times: {fn}")

    def until(self, what, fn, pod=None, seconds=DEADLINE):
        """Asks again until it is so; what it answered."""
        deadline = time.monotonic() + seconds
        pause = 0.005
        while True:
            got = self.again(fn)
            if got:
                return got
            self.check(time.monotonic() < deadline or self.world[DOWN], f"{what}: not within {seconds} s", pod)
            time.sleep(pause)
            pause = min(pause * 2, 0.2)

    def read(self, path, pod=None, seconds=DEADLINE, since=None, lenient=None):
        return self.call(f"read {path}", lambda: read_all(self.path(path)), pod, seconds, since, lenient).decode(errors="replace")

    def get(self, path, pod=None, seconds=DEADLINE):
        """A text that can be read any number of times."""
        return self.again(lambda: self.read(path, pod, seconds)).rstrip("\n")

    def write(self, path, text, pod=None, since=None, lenient="handles"):
        """As the shell's `echo`."""
        self.call(f"write {path} {text}", lambda: echo(self.path(path), text), pod, since=since, lenient=lenient)

    def put(self, path, text, pod=None):
        self.again(lambda: self.write(path, text, pod))

    def names(self, path, pod=None):
        return sorted(self.again(lambda: self.call(f"list {path}", lambda: os.listdir(self.path(path)), pod)))

    def exists(self, path):
        def look():
            try:
                os.stat(self.path(path))
            except FileNotFoundError:
                if self.world[DOWN]:
                    raise
                return False
            return True
        return self.again(lambda: self.call(f"stat {path}", look))

    @property
    def ending(self):
        return self.world[ENDING]


def read_fd(fd):
    parts = []
    while True:
        part = os.read(fd, CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)


def read_all(path):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_fd(fd)
    finally:
        os.close(fd)


def echo(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode() + b"\n")
    finally:
        os.close(fd)
