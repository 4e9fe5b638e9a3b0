"""What a worker may do to one of its pods: a step each, with what must come of it.

The table at the end says how often. Each takes the worker, for its model, its calls and its dice, and a pod.
"""
import errno

from calls import Failure, Unsure
from instance import IMAGE
from model import KILLED, TERMINATED, choose
from readers import answered
from sessions import WAYS

CONTAINERS_MAX = 3
LIMITS = {"memory.max": [("max", "max"), ("64M", "67108864"), ("1Gi", "1073741824")], "pids.max": [("max", "max"), ("50", "50")],
          "cpu.weight": [("100", "100"), ("200", "200")]}
NONSENSE = [("memory.max", "10Q"), ("pids.max", "-3"), ("restart", "Perhaps"), ("hostname", "a b")]


def define(worker, pod):
    if len(pod.containers) < CONTAINERS_MAX:
        worker.define(pod)
    else:
        look(worker, pod)


def limit(worker, pod):
    calls, dice = worker.calls, worker.dice
    name = dice.choice(list(LIMITS))
    written, reads = dice.choice(LIMITS[name])
    c = dice.choice([None] + list(pod.containers))
    file = f"containers/{c}/{name}" if c else name
    calls.put(f"{pod.name}/{file}", written, pod)
    pod.settings[file] = reads
    got = calls.get(f"{pod.name}/{file}", pod)
    calls.check(got == reads, f"{pod.name}/{file} reads {got}, not {reads}", pod)


def publish(worker, pod):
    """A port of its own; one that another pod has is refused."""
    calls = worker.calls
    taken = [p.port for p in worker.pods.values() if p.port and p is not pod and not calls.killed(p)]
    if taken and worker.dice.random() < 0.3:
        try:
            calls.write(f"{pod.name}/ports", f"{taken[0]}:80", pod)
        except Unsure:
            pass
        except Failure as e:
            calls.check(e.code == errno.EADDRINUSE, f"{pod.name}/ports: {taken[0]}, which is taken: {e}", pod)
            return
        else:
            raise Failure(f"{pod.name}/ports takes {taken[0]}, which another pod has")
    worker.ports += 1
    port = 20000 + worker.number * 1000 + worker.ports % 1000
    calls.put(f"{pod.name}/ports", f"{port}:80", pod)
    pod.port = port
    pod.settings["ports"] = f"{port}:80/tcp"


def nonsense(worker, pod):
    file, value = worker.dice.choice(NONSENSE)
    before = worker.calls.get(f"{pod.name}/{file}", pod)
    try:
        worker.calls.write(f"{pod.name}/{file}", value, pod)
    except Unsure:
        return
    except Failure as e:
        worker.calls.check(e.code == errno.EINVAL, f"{file}: {value} was refused with {e}", pod)
        got = worker.calls.get(f"{pod.name}/{file}", pod)
        worker.calls.check(got == before, f"{pod.name}/{file} reads {got}, not {before}, after a refused write", pod)
        return
    raise Failure(f"{pod.name}/{file} takes {value}")


def execute(worker, pod):
    up = pod.forever()
    if up:
        pod.serial += 1
        choose(worker.dice, WAYS)(worker.calls, worker.dice, pod, worker.dice.choice(up), f"t{worker.number}x{worker.steps}")


def stop(worker, pod):
    up = pod.forever()
    if not up:
        return
    c = worker.dice.choice(up)
    sure = worker.verb(pod, c, "stop")
    if not sure:
        # Not done: then now. Done: then it does not run.
        try:
            worker.calls.write(f"{pod.name}/containers/{c.name}/ctl", "stop", pod)
        except (Unsure, Failure) as why:
            worker.calls.trace(f"second stop: {why}")
    worker.ended(pod, c, {TERMINATED})
    if worker.dice.random() < 0.7:
        worker.start(pod, c, *worker.dice.choice([("ctl", "start"), ("image", IMAGE)]))


def kill(worker, pod):
    up = pod.forever()
    if not up:
        return
    c = worker.dice.choice(up)
    c.cuts += 1
    if pod.restart != "Never":
        c.started()
        c.restarts[0] += 1
        c.restarts[1] += 1
    if not worker.verb(pod, c, "kill"):
        settle_kill(worker, pod, c)
        return
    if pod.restart == "Never":
        worker.ended(pod, c, {KILLED})
    else:
        worker.await_run(pod, c)
        # Its line may be in the log before the news of it has come.
        at = f"{pod.name}/containers/{c.name}"
        worker.calls.until(f"{at} is running again", lambda: worker.calls.get(f"{at}/restarts", pod) == str(c.restarts[0]) and
                           worker.calls.get(f"{at}/state", pod).startswith("running"), pod)
        restarts(worker, pod, c)


def settle_kill(worker, pod, c):
    """Not known whether it was killed once, twice or not at all: from here on it is."""
    c.cuts += 1
    if pod.restart == "Never":
        try:
            worker.calls.write(f"{pod.name}/containers/{c.name}/ctl", "kill", pod)
        except (Unsure, Failure) as why:
            worker.calls.trace(f"second kill: {why}")
        worker.ended(pod, c, {KILLED})
    else:
        c.runs[0] -= 1
        c.restarts[0] -= 1
        c.maybe_restarted()
        worker.start(pod, c, "image", IMAGE)


def restarts(worker, pod, c):
    low, high = c.restarts
    got = worker.calls.get(f"{pod.name}/containers/{c.name}/restarts", pod)
    worker.calls.check(got.isdigit() and low <= int(got) <= high, f"{pod.name}/{c.name}: {got} restarts, not {low} to {high}", pod)


def restart(worker, pod):
    up = pod.forever()
    if up:
        c = worker.dice.choice(up)
        c.ends.add(TERMINATED)
        worker.start(pod, c, *worker.dice.choice([("ctl", "restart"), ("image", IMAGE)]))


def pause(worker, pod):
    up = pod.forever()
    if not up:
        return
    c = worker.dice.choice(up)
    state = lambda: worker.calls.get(f"{pod.name}/containers/{c.name}/state", pod).split(" ")[0]
    for verb, reads in (("pause", "paused"), ("unpause", "running")):
        for _ in range(20):
            if worker.verb(pod, c, verb) or state() == reads:
                break
        got = state()
        worker.calls.check(got == reads, f"{pod.name}/{c.name} is {got} after {verb}", pod)


def finish(worker, pod):
    """What ends by itself, does."""
    finite = [c for c in pod.containers.values() if c.finite()]
    if not finite:
        return
    c = worker.dice.choice(finite)
    first = not c.ended
    worker.ended(pod, c, c.ends)
    if c.mode == "flaky" and first:
        c.settled()
        restarts(worker, pod, c)
    worker.parse(pod, c, worker.log(pod, c))


def look(worker, pod):
    """All of it, held against the model."""
    calls = worker.calls
    got = calls.names(f"{pod.name}/containers", pod)
    calls.check(got == sorted(pod.containers), f"{pod.name}/containers has {got}, not {sorted(pod.containers)}", pod)
    mine = sorted(n for n in calls.names("") if n.startswith(f"w{worker.number}-"))
    calls.check(mine == sorted(worker.pods), f"pods {mine}, not {sorted(worker.pods)}")
    for file, value in pod.settings.items():
        got = calls.get(f"{pod.name}/{file}", pod)
        calls.check(got == value, f"{pod.name}/{file} reads {got!r}, not {value!r}", pod)
    for c in pod.containers.values():
        if c.up:
            state = calls.get(f"{pod.name}/containers/{c.name}/state", pod)
            calls.check(state.startswith("running"), f"{pod.name}/{c.name} is {state}", pod)
    if any(c.up for c in pod.containers.values()):
        status = calls.get(f"{pod.name}/status", pod)
        calls.check(status == "Running", f"{pod.name} is {status}", pod)
    calls.get(f"{pod.name}/{worker.dice.choice(['describe', 'pod.yaml', 'why', 'events'])}", pod)


def read_log(worker, pod):
    """The whole log, and what a follower has had of it."""
    for c in pod.containers.values():
        if not c.runs[0]:
            continue
        text = worker.log(pod, c)
        worker.parse(pod, c, text)
        if c.follower:
            c.follower.compare(worker.calls, pod, text)


def drop(worker, pod):
    if not pod.containers:
        return
    c = worker.dice.choice(list(pod.containers.values()))
    read_log(worker, pod)
    if c.follower:
        c.follower.end()
    worker.calls.again(lambda: worker.rmdir(f"{pod.name}/containers/{c.name}", pod))
    del pod.containers[c.name]
    pod.settings = {f: v for f, v in pod.settings.items() if not f.startswith(f"containers/{c.name}/")}
    answered(worker.calls, c, None, pod, gone=True)


def delete(worker, pod):
    look(worker, pod)
    read_log(worker, pod)
    worker.delete(pod)


ACTIONS = [(5, define), (4, limit), (2, publish), (1, nonsense), (10, execute), (3, stop), (2, kill), (2, restart), (2, pause), (4, finish),
           (4, look), (3, read_log), (1, drop), (2, delete)]
