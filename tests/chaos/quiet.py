"""Quiet points: the workers rest, the killer too, and the whole node is held against what they know.

The tree, the processes, the cgroups and the kernel's limits: each pod once, each container once, nothing of nobody.
"""
import json
import os
import socket
import subprocess
import time

from instance import listing
from world import PAUSED

SETTLED = 40 # seconds that leaving pods and the like may take


class QuietFailure(Exception):
    pass


class Quiet:
    def __init__(self, instance, world, workers):
        self.instance, self.world, self.workers, self.points = instance, world, workers, 0
        self.seen = {}

    # --- the model ---

    def model_file(self, n):
        return os.path.join(self.instance.top, f"model.{n}")

    def all_rest(self):
        """A worker that rests has written its model."""
        return all(os.path.exists(self.model_file(n)) for n in range(self.workers))

    def take_model(self):
        pods = {}
        for n in range(self.workers):
            with open(self.model_file(n), encoding="utf-8") as f:
                pods.update(json.load(f))
            os.unlink(self.model_file(n))
        return pods

    # --- looking ---

    def get(self, *path):
        fd = os.open(self.instance.path(*path), os.O_RDONLY)
        try:
            return os.read(fd, 1 << 20).decode()
        finally:
            os.close(fd)

    def names(self):
        return sorted(n for n in os.listdir(self.instance.path()) if n[0] != ".")

    def until(self, what, fn):
        """fn says what is wrong; '' when nothing is."""
        deadline = time.monotonic() + SETTLED
        while True:
            try:
                wrong = fn()
            except OSError as e:
                wrong = str(e)
            if not wrong:
                return
            if time.monotonic() > deadline:
                raise QuietFailure(f"at a quiet point: {what}: {wrong}")
            time.sleep(0.05)

    def check(self):
        self.points += 1
        pods = self.take_model()
        self.until("nothing leaves any more", lambda: self.get(".node/leaving"))
        self.until("the tree", lambda: self.tree(pods))
        self.until("processes of pods", lambda: self.pod_processes(pods))
        self.until("processes of containers", lambda: self.payloads(pods))
        self.until("cgroups", lambda: self.groups(pods))
        self.until("records", lambda: self.records(pods))
        self.until("the network", lambda: self.network(pods))
        self.until("leaks", lambda: self.get(".node/leaks"))

    def tree(self, pods):
        names = self.names()
        if names != sorted(pods):
            return f"there are {names}, not {sorted(pods)}"
        table = sorted(line.split()[0] for line in self.get(".node/pods").splitlines()[1:])
        return "" if table == names else f".node/pods has {table}, not {names}"

    def pod_processes(self, pods):
        """One for each pod, none of others. A pod that was killed may have none."""
        alive = self.instance.pods()
        uids = [p.uid for p in alive]
        for p in alive:
            p.close()
        want = {m["uid"]: name for name, m in pods.items()}
        doubled = sorted(u for u in set(uids) if uids.count(u) > 1)
        strange = [f"{p.uid} {p.pod} {'removing' if p.removing else ''}" for p in alive if p.uid not in want]
        missing = [name for name, m in pods.items() if m["uid"] and m["uid"] not in uids and not m["killed"]]
        return f"twice {doubled}, of nobody {strange}, missing {missing}" if doubled or strange or missing else ""

    def payloads(self, pods):
        """Of each container that runs exactly one process, of others none."""
        tags = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            words = cmdline(pid)
            if len(words) > 2 and words[0] == "payload" and words[1] in ("lines", "flaky"):
                tags.setdefault(words[2], []).append(pid)
        own = {tag: (name, c) for name, m in pods.items() for c, tag in m["containers"].items()}
        wrong = [f"{tag} {pids} of nobody" for tag, pids in tags.items() if tag not in own and self.is_ours(pids[0])]
        for tag, (pod, c) in own.items():
            state, pids = self.get(pod, "containers", c, "state"), tags.get(tag, [])
            if len(pids) != (1 if state.startswith(("running", "paused")) else 0):
                wrong.append(f"{pod}/{c} is {state.strip()} and has processes {pids}")
        return "; ".join(wrong)

    def is_ours(self, pid):
        try:
            with open(f"/proc/{pid}/cgroup", encoding="utf-8") as f:
                return self.instance.group in f.read()
        except OSError:
            return False

    def groups(self, pods):
        uids = {m["uid"] for m in pods.values()}
        strange = sorted(g for g in self.instance.groups() for g in listing(g) if len(g) == 36 and g not in uids)
        return f"of nobody: {strange}" if strange else ""

    def records(self, pods):
        uids, there = {m["uid"] for m in pods.values() if m["uid"]}, set(listing(os.path.join(self.instance.state, "pods")))
        return f"folders of nobody {sorted(there - uids)}, missing {sorted(uids - there)}" if there != uids else ""

    def network(self, pods):
        """Each pod has addresses of its own, which answer, and its port is held."""
        ips = [ip for m in pods.values() for ip in m["ip"].split()]
        wrong = [f"{ip} twice" for ip in set(ips) if ips.count(ip) > 1]
        for name, m in pods.items():
            if m["killed"]:
                continue
            wrong += [f"{name}: {ip} does not answer" for ip in m["ip"].split() if not answers(ip)]
            if m["port"] and not held(m["port"]):
                wrong.append(f"{name}: port {m['port']} is not held")
        return "; ".join(wrong)

    # --- the end ---

    def check_end(self):
        self.until("the tree is empty", lambda: " ".join(self.names()))
        self.until("nothing leaves any more", lambda: self.get(".node/leaving"))
        self.until("leaks", lambda: self.get(".node/leaks"))
        self.until("it can be unmounted", self.unmount)
        self.until("nothing is left", lambda: str(self.instance.left() or ""))

    def unmount(self):
        if not self.instance.mounted():
            return ""
        status = os.spawnlp(os.P_WAIT, "umount", "umount", self.instance.mount_point)
        return f"umount: {status}" if status else ""


def answers(ip):
    return not subprocess.run(["ping", "-c", "1", "-W", "2", ip], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode


def held(port):
    with socket.socket() as s:
        try:
            s.bind(("0.0.0.0", port))
        except OSError:
            return True
    return False


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            return f.read().decode(errors="replace").rstrip("\0").split("\0")
    except OSError:
        return []
