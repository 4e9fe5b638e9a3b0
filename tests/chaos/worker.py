"""One worker: makes pods and containers, does things to them, and holds what it sees against the model.

A process of its own. Its choices come from the seed; what they meet comes from the killer.
"""
import errno
import json
import os
import time
import traceback

from calls import Calls, Failure, PodLost, Unsure
from actions import ACTIONS, look
from instance import IMAGE, parse_uid
from model import HOLDS, LogError, Pod, check_log, choose, command, new_container, seeded
from readers import Follower, Waiter, answered
from world import ENDING, FAILED, PAUSED

PODS_MAX = 3
PHASES = {"Pending", "Running", "Succeeded", "Failed"}


class Worker:
    def __init__(self, world, number, seed):
        self.world, self.number = world, number
        self.dice = seeded(seed, f"worker {number}")
        self.calls = Calls(world, str(number))
        self.pods, self.made, self.steps, self.ports = {}, 0, 0, 0
        self.unsure = set() # paths whose mkdir or rmdir may have been done

    # --- the loop ---

    def run(self):
        try:
            while not self.world[ENDING]:
                if self.world[PAUSED]:
                    self.rest()
                    continue
                self.steps += 1
                self.step()
            self.end()
        except (Failure, LogError) as e:
            self.fail(str(e))
        except BaseException: # whatever it is, it must be told
            self.fail(traceback.format_exc())

    def fail(self, words):
        for c in (c for pod in self.pods.values() for c in pod.containers.values()):
            for reader in (c.follower, c.waiter):
                if reader:
                    reader.end()
        with open(os.path.join(self.world.top, f"failed.{self.number}"), "w", encoding="utf-8") as f:
            f.write(f"worker {self.number}, step {self.steps}: {words}\n")
        self.world[FAILED] = 1
        os._exit(1)

    def step(self):
        pod = self.dice.choice(list(self.pods.values())) if self.pods else None
        if not pod or (len(self.pods) < PODS_MAX and self.dice.random() < 0.15):
            self.create()
            return
        action = choose(self.dice, ACTIONS)
        self.calls.trace(f"step {self.steps}: {action.__name__} {pod.name}")
        self.doing(pod, lambda: action(self, pod))

    def doing(self, pod, fn):
        try:
            fn()
        except PodLost as why:
            self.calls.trace(f"pod lost: {why}")
            self.lost(pod)

    def rest(self):
        """At a quiet point the others look at everything, so they need to know the model."""
        point = self.world[PAUSED]
        view = {pod.name: {"uid": pod.uid, "containers": {c.name: c.tag for c in pod.containers.values()},
                           "killed": self.calls.killed(pod), "ip": pod.ip, "port": pod.port} for pod in self.pods.values()}
        path = os.path.join(self.world.top, f"model.{self.number}")
        with open(path + ".new", "w", encoding="utf-8") as f:
            json.dump(view, f)
        os.rename(path + ".new", path)
        while self.world[PAUSED] == point:
            time.sleep(0.02)

    def end(self):
        """All that it made goes, after a last look."""
        for pod in list(self.pods.values()):
            self.doing(pod, lambda p=pod: look(self, p))
            if pod.name in self.pods:
                self.doing(pod, lambda p=pod: self.delete(p))
        with open(os.path.join(self.world.top, f"figures.{self.number}"), "w", encoding="utf-8") as f:
            json.dump({"steps": self.steps, "slowest": self.calls.slowest, "counts": self.calls.counts}, f)

    # --- pods ---

    def create(self):
        self.made += 1
        pod = Pod(f"w{self.number}-{self.made % 5}" if self.dice.random() < 0.5 else f"w{self.number}-x{self.made}",
                  self.dice.choice(["Never", "Never", "OnFailure", "Always"]), time.monotonic())
        if pod.name in self.pods:
            return
        self.calls.trace(f"step {self.steps}: create {pod.name} {pod.restart}")
        try:
            self.calls.again(lambda: self.mkdir(pod.name, pod))
            self.pods[pod.name] = pod
            pod.uid = parse_uid(self.calls.get(f"{pod.name}/pod.yaml", pod))
            for name, value in (("restart", pod.restart), ("grace", "5")):
                self.calls.put(f"{pod.name}/{name}", value, pod)
                pod.settings[name] = value
            pod.ip = self.calls.get(f"{pod.name}/ip", pod)
            pod.settings["ip"] = pod.ip
        except PodLost as why:
            self.calls.trace(f"pod lost while it was made: {why}")
            if pod.name not in self.pods and not self.calls.exists(pod.name):
                return # undone
            self.pods[pod.name] = pod
            self.delete(pod)

    def mkdir(self, path, pod):
        """That it is there already is fine only if an answer was lost."""
        before = self.calls.before()

        def make():
            try:
                os.mkdir(self.calls.path(path))
            except FileExistsError:
                if not self.calls.server_died(before) and path not in self.unsure:
                    raise
                self.unsure.discard(path)
                self.calls.counts["excused:once"] += 1
        try:
            self.calls.call(f"mkdir {path}", make, pod)
            self.unsure.discard(path)
        except Unsure:
            self.unsure.add(path)
            raise

    def rmdir(self, path, pod=None):
        """As mkdir."""
        before = self.calls.before()

        def remove():
            try:
                os.rmdir(self.calls.path(path))
            except OSError as e:
                gone = e.errno in (errno.ENOENT, errno.ENODEV) and (self.calls.server_died(before) or path in self.unsure)
                if not gone or not self.calls.world.wait_up(60) or os.path.lexists(self.calls.path(path)):
                    raise
                self.calls.counts["excused:once"] += 1
        try:
            self.calls.call(f"rmdir {path}", remove, pod)
            self.unsure.discard(path)
        except Unsure:
            self.unsure.add(path)
            raise

    def delete(self, pod):
        for c in pod.containers.values():
            if c.follower:
                c.follower.end()
        self.calls.again(lambda: self.rmdir(pod.name))
        del self.pods[pod.name]
        for c in pod.containers.values():
            answered(self.calls, c, None, gone=True)
        self.calls.trace(f"deleted {pod.name} {pod.uid}")

    def lost(self, pod):
        """Its process was killed: it is Failed, or made anew; it can be started again, and it can be removed."""
        if pod.uid is None:
            self.delete(pod)
            return
        calls = self.calls
        pod.ever_killed = True
        pod.kills = self.world.pod_kills(pod.uid, pod.name, pod.born)
        try:
            containers = pod.containers.values()
            failed = HOLDS["lost"] and pod.restart == "Never" and any(c.runs[0] for c in containers)
            # Running: another server had made it anew, and this worker has started something in it since. What had succeeded
            # stays so; what never ran is to be started, once it is made anew.
            phases = {"Failed", "Running"} if failed else PHASES
            phases |= {"Succeeded"} if all(c.finite() and 0 in c.ends for c in containers) else set()
            phases |= {"Pending"} if not all(c.runs[0] for c in containers) else set()
            calls.until(f"{pod.name} is one of {phases} after its process was killed",
                        lambda: calls.get(f"{pod.name}/status", pod) in phases, pod)
            calls.check(calls.get(f"{pod.name}/why", pod) != "", f"{pod.name}: lost without a reason", pod)
            for c in pod.containers.values():
                if failed and calls.get(f"{pod.name}/containers/{c.name}/state", pod).startswith("terminated"):
                    answered(calls, c, None)
            if self.dice.random() < 0.3 and pod.containers:
                self.revive(pod)
                return
        except PodLost:
            pass
        self.delete(pod)

    def revive(self, pod):
        calls = self.calls
        pod.kills = self.world.pod_kills(pod.uid, pod.name, pod.born)
        for c in pod.containers.values():
            c.runs[1] += 3
            c.cuts += 3
            c.restarts = [0, 99]
            c.up = False
        try:
            calls.write(f"{pod.name}/ctl", "start", pod)
        except (Unsure, Failure) as why: # EALREADY: its policy was faster
            calls.trace(f"revive: {why}")
        calls.until(f"{pod.name} is started again",
                    lambda: not HOLDS["lost"] or calls.get(f"{pod.name}/status", pod) != "Pending", pod)
        calls.get(f"{pod.name}/describe", pod)
        self.delete(pod)

    # --- containers ---

    def define(self, pod):
        pod.serial += 1
        c = new_container(self.dice, f"c{pod.serial}", f"{self.world.name}.{pod.name}.c{pod.serial}.{self.steps}", pod.restart)
        at = f"{pod.name}/containers/{c.name}"
        self.calls.again(lambda: self.mkdir(at, pod))
        pod.containers[c.name] = c
        self.calls.put(f"{at}/command", command(c), pod)
        pod.settings[f"containers/{c.name}/command"] = command(c)
        self.start(pod, c, "image", IMAGE)
        if self.dice.random() < 0.4:
            c.follower = Follower(self.calls, pod, c, self.dice.choice(["tail", "busybox tail"]))
        if self.dice.random() < 0.4:
            c.waiter = Waiter(self.calls, f"{at}/wait/ended")

    def start(self, pod, c, file, word):
        """A start, or a stop and a start: by `image` or `ctl`. One more run, more if an answer was lost."""
        asked = self.calls.before()

        def ask():
            try:
                self.calls.write(f"{pod.name}/containers/{c.name}/{file}", word, pod)
            except Unsure:
                c.maybe_started()
                raise
            except Failure as e:
                # Done by the server that died: it runs already.
                if e.code != errno.EALREADY or not self.calls.server_died(asked):
                    raise
                self.calls.counts["excused:once"] += 1
        self.calls.again(ask)
        if self.calls.server_died(asked):
            c.maybe_started()
        c.started()
        if c.up:
            self.calls.get(f"{pod.name}/containers/{c.name}/wait/running", pod)
        self.await_run(pod, c)

    def log(self, pod, c):
        return self.calls.again(lambda: self.calls.read(f"{pod.name}/logs/{c.name}", pod))

    def await_run(self, pod, c):
        """It has begun, as its log says."""
        def begun():
            try:
                text = self.calls.read(f"{pod.name}/logs/{c.name}", pod)
            except Failure as e:
                if e.code == errno.ENOENT: # there is none before the first start
                    return False
                raise
            runs = self.parse(pod, c, text, started=False)
            return len(runs) >= c.runs[0] and runs[-1].last["out"]
        self.calls.until(f"{pod.name}/{c.name}: run {c.runs} in its log", begun, pod)

    def parse(self, pod, c, text, started=True):
        """started: each run that was begun has to be there."""
        low = c.runs[0]
        try:
            c.runs[0] = low if started else 0
            return check_log(c, text, torn=3 if pod.ever_killed else 0)
        except LogError as e:
            self.calls.check(False, f"{pod.name}/logs/{c.name}: {e}", pod)
        finally:
            c.runs[0] = low

    def ended(self, pod, c, codes):
        got = self.calls.again(lambda: self.calls.read(f"{pod.name}/containers/{c.name}/wait/ended", pod)).strip()
        self.calls.check(got.isdigit() and int(got) in codes, f"{pod.name}/{c.name} ended with {got!r}, not {codes}", pod)
        c.up, c.ended = False, True
        answered(self.calls, c, c.ends | codes, pod)

    def verb(self, pod, c, word):
        """One that must not be done twice: refused the second time, which is fine if an answer was lost. True: certainly once."""
        before = self.calls.before()
        try:
            self.calls.write(f"{pod.name}/containers/{c.name}/ctl", word, pod, lenient="once")
        except Unsure:
            return False
        return not self.calls.server_died(before)
