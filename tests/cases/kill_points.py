"""Kills pulls at random points and looks at what is left each time:

    kill_points.py PODFS-IMAGE STATE REFERENCE SEED KILLS

After each kill (of all its processes at once: they are in a PID namespace of their own) every layer in STATE/images/layers has to be
whole, which is: the same, file by file, as in a store that nothing was killed in. Now and then a pull is left alone: it must succeed,
make the store whole, and leave no work folder. Says what it met; the seed makes the same delays again.
"""
import os
import random
import shutil
import signal
import subprocess
import sys
import time

from tree import tree

program, state, reference, seed, count = sys.argv[1:4] + [int(a) for a in sys.argv[4:6]]
begun = time.time_ns() # what has no mtime in the archive (whiteouts) has the time of its making
layers, records, work = (os.path.join(state, "images", d) for d in ("layers", "refs", "tmp"))


def children(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as f:
            return [int(p) for p in f.read().split()]
    except FileNotFoundError:
        return []


def pull(delay=None):
    """The verdict; '' when it was killed, so many seconds after its start."""
    shell = 'exec 3>&1 >/dev/null; "$@"; exit $?'
    job = subprocess.Popen(["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c", shell, "sh", program, "pull", state, reference,
                            str(1 << 30), "60"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if delay is not None:
        try:
            job.wait(delay)
        except subprocess.TimeoutExpired:
            init = []
            while not init and job.poll() is None:
                init = children(job.pid)
            for pid in init:
                os.kill(pid, signal.SIGKILL)
    said = job.stdout.read().decode().splitlines()
    return said[-1] if job.wait() == 0 and said else " ".join(said[-1:]) if delay is None else ""


def store():
    found = {}
    for name in sorted(os.listdir(layers)) if os.path.isdir(layers) else ():
        found[name] = tree(os.path.join(layers, name), begun=begun)
    return found


def wipe():
    shutil.rmtree(os.path.join(state, "images"), ignore_errors=True)


def check(found, whole, when):
    for name, files in found.items():
        if name not in whole:
            sys.exit(f"{when}: layer {name} is none of the image's")
        if files != whole[name]:
            different = set(files) ^ set(whole[name])
            sys.exit(f"{when}: layer {name} is not whole:\n" + "\n".join(sorted(different)[:20]))


def complete(whole, when):
    said = pull()
    if said != "0":
        sys.exit(f"{when}: the next pull said: {said}")
    found = store()
    check(found, whole, when)
    if found.keys() != whole.keys() or len(os.listdir(records)) != 1 or os.listdir(work):
        sys.exit(f"{when}: the next pull left {sorted(found)} {os.listdir(records)} {os.listdir(work)}")


def main():
    dice = random.Random(seed)
    took = []
    for _ in range(3):
        wipe()
        begun = time.monotonic()
        said = pull()
        took.append(time.monotonic() - begun)
        if said != "0":
            sys.exit(f"the first pull said: {said}")
        whole = store()
    usual = sorted(took)[1]
    kills = pulls = early = partial = 0
    wipe()
    while kills < count:
        when = f"seed {seed}, pull {pulls}"
        # Every other one near the end, where the work folder becomes layers and a record.
        said = pull(usual * (dice.uniform(0.9, 1.08) if pulls % 2 else dice.random()))
        found = store()
        check(found, whole, when)
        pulls += 1
        kills += not said
        early += not found
        partial += 0 < len(found) < len(whole)
        if said or dice.random() < 0.1:
            complete(whole, when)
            wipe()
    complete(whole, "at the end")
    print(f"seed {seed}: {kills} kills in {pulls} pulls of {usual:.3f} s; {early} left no layer, {partial} some")


main()
