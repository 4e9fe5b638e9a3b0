"""Commands inside a container, each with output that is known beforehand: through a session, exec/NAME, and a stream both ways.

Right output or a clean error, never wrong output; the command ran once.
"""
import os

from calls import Unsure, echo, read_all, read_fd
from model import HOLDS


class Command:
    def __init__(self, dice, token):
        self.token = token
        self.n, self.code = dice.choice([0, 1, 20, 500, 5000]), dice.choice([0, 1, 5, 100])
        self.words = f"payload exec {token} {self.n} {self.code}"
        self.out = "".join(f"{token} {i}\n" for i in range(1, self.n + 1))
        self.err = f"{token} err\n"


def lenient_read(calls, path, pod, since):
    return calls.read(path, pod, since=since, lenient="sessions")


def ran(calls, pod, container, token, times):
    """How often the command has been run, by what it left in the container."""
    text = calls.get(f"{pod.name}/containers/{container.name}/root/execs", pod)
    count = text.split("\n").count(token)
    calls.check(count in times, f"exec {token}: ran {count} times, not {times}", pod)


def may_have_run():
    return (0, 1) if HOLDS["once"] else (0, 1, 2)


def in_session(calls, dice, pod, container, token):
    """mkdir, cmd, out, err, exit, rmdir."""
    name, cmd = f"s{pod.serial}", Command(dice, token)
    at = f"{pod.name}/exec/{name}"
    since = calls.before()
    try:
        calls.call(f"mkdir {at}", lambda: os.mkdir(calls.path(at)), pod, since=since, lenient="sessions")
        calls.write(f"{at}/container", container.name, pod, since, "sessions")
        calls.write(f"{at}/cmd", cmd.words, pod, since, "sessions")
        out = lenient_read(calls, f"{at}/out", pod, since)
        err = lenient_read(calls, f"{at}/err", pod, since)
        code = lenient_read(calls, f"{at}/exit", pod, since)
        calls.check(out == cmd.out, f"exec {token}: out is {len(out)} bytes, not {len(cmd.out)}: {out[-80:]!r}", pod)
        calls.check(err == cmd.err, f"exec {token}: err is {err!r}", pod)
        calls.check(code == f"{cmd.code}\n", f"exec {token}: exit {code!r}, not {cmd.code}", pod)
        ran(calls, pod, container, token, (1,))
    except Unsure as why:
        calls.trace(f"session lost: {why}")
    end_session(calls, pod, at, since)


def end_session(calls, pod, at, since):
    """It may have gone with a server, or have ended already."""
    try:
        calls.call(f"rmdir {at}", lambda: os.rmdir(calls.path(at)), pod, since=since, lenient="sessions")
    except Unsure:
        calls.again(lambda: calls.call(f"rmdir {at}", lambda: remove_if_there(calls.path(at)), pod))


def remove_if_there(path):
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass


def through_stdin(calls, dice, pod, container, token):
    """cat in a session: what goes in comes out."""
    name = f"s{pod.serial}"
    at = f"{pod.name}/exec/{name}"
    text = "".join(f"{token} {i}\n" for i in range(dice.choice([1, 50, 800])))
    since = calls.before()
    try:
        calls.call(f"mkdir {at}", lambda: os.mkdir(calls.path(at)), pod, since=since, lenient="sessions")
        calls.write(f"{at}/container", container.name, pod, since, "sessions")
        calls.write(f"{at}/cmd", "cat", pod, since, "sessions")
        calls.call(f"feed {at}/in", lambda: feed(calls.path(at, "in"), text), pod, since=since, lenient="sessions")
        out = lenient_read(calls, f"{at}/out", pod, since)
        code = lenient_read(calls, f"{at}/exit", pod, since)
        calls.check(out == text, f"cat {token}: {len(out)} bytes came out, {len(text)} went in", pod)
        calls.check(code == "0\n", f"cat {token}: exit {code!r}", pod)
    except Unsure as why:
        calls.trace(f"session lost: {why}")
    end_session(calls, pod, at, since)


def feed(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        data = text.encode()
        while data:
            data = data[os.write(fd, data[:4000]):]
    finally:
        os.close(fd)


def shell(calls, dice, pod, container, token):
    """echo COMMAND > exec/NAME; cat exec/NAME"""
    cmd = Command(dice, token)
    at = f"{pod.name}/exec/{container.name}"
    since = calls.before()
    try:
        calls.call(f"shell {at}", lambda: echo(calls.path(at), cmd.words), pod, since=since, lenient="sessions")
        got = lenient_read(calls, at, pod, since)
        if container.stale or (not HOLDS["sessions"] and calls.server_died(since)):
            container.stale = False
            return
        check_merged(calls, pod, cmd, got)
        ran(calls, pod, container, token, (1,))
    except Unsure as why:
        container.stale = True
        calls.trace(f"shell lost: {why}")


def check_merged(calls, pod, cmd, got):
    """stdout and stderr in one stream, each in order."""
    lines = got.splitlines(keepends=True)
    calls.check(lines.count(cmd.err) == 1, f"shell {cmd.token}: {len(got)} bytes, {got[-80:]!r}", pod)
    lines.remove(cmd.err)
    calls.check("".join(lines) == cmd.out, f"shell {cmd.token}: out is {len(got)} bytes, not {len(cmd.out)}", pod)


def both_ways(calls, dice, pod, container, token):
    """exec 3<>exec/NAME"""
    cmd = Command(dice, token)
    at = f"{pod.name}/exec/{container.name}"
    since = calls.before()

    def talk():
        fd = os.open(calls.path(at), os.O_RDWR | os.O_CLOEXEC)
        try:
            os.write(fd, f"{cmd.words}; exit\n".encode())
            return read_fd(fd).decode()
        finally:
            os.close(fd)
    try:
        got = calls.call(f"stream {at}", talk, pod, since=since, lenient="sessions")
        check_merged(calls, pod, cmd, got)
        ran(calls, pod, container, token, (1,))
    except Unsure as why:
        calls.trace(f"stream lost: {why}")


WAYS = [(4, in_session), (2, through_stdin), (3, shell), (2, both_ways)]
