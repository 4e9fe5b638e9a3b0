"""The one that kills: what it may do, and how the mount comes back.

Only the instance's own processes, each by a pidfd (instance.py). Everything is noted in the world's list before it is done.
"""
import collections
import select
import signal
import time

from model import choose, seeded
from world import DOWN, LOSSES, SERVERS, STOPS

REMOVER_KILLS = 2 # of one pod: the server gives up after three


class Killer:
    def __init__(self, world, instance, seed, mean):
        self.world, self.instance, self.mean = world, instance, mean
        self.dice = seeded(seed, "killer")
        self.done = collections.Counter()
        self.kills = 0
        self.removers = collections.Counter()
        self.keeper = instance.keeper()

    # --- the schedule ---

    def pause(self):
        """Until the next one: now and then they come close together."""
        if self.dice.random() < 0.15:
            return self.dice.uniform(0, 0.1)
        return min(self.dice.expovariate(1 / self.mean), 4 * self.mean)

    def act(self):
        kind = choose(self.dice, KINDS)
        self.heal()
        if kind(self):
            self.done[kind.__name__] += 1

    def kill(self, process, kind, *words):
        self.world.note(kind, *words)
        process.signal(signal.SIGKILL)
        self.kills += 1

    # --- the mount ---

    def keeper_gone(self):
        return not self.keeper or bool(select.select([self.keeper.fd], [], [], 0)[0])

    def heal(self):
        """The keeper gives up when the server died too often in a row: then it is mounted again."""
        if not self.keeper_gone():
            return
        self.world.note("gave-up")
        self.done["gave_up"] += 1
        self.down()
        self.remount()

    def down(self):
        self.world[DOWN] = 1
        self.world[LOSSES] += 1

    def remount(self):
        server = self.instance.server()
        if server:
            server.wait_gone()
            server.close()
        if self.keeper:
            self.keeper.close()
        self.instance.mount()
        self.keeper = self.instance.keeper()
        self.world[LOSSES] += 1 # for who began in between: it was lost after that
        self.world[DOWN] = 0

    # --- what it does; False: there was nothing to do it to ---

    def kill_server(self, kind="server"):
        server = self.instance.server()
        if not server:
            return False
        self.world[SERVERS] += 1
        self.kill(server, kind)
        server.close()
        return True

    def server(self):
        return self.kill_server()

    def server_twice(self):
        """The second time while it starts."""
        if not self.kill_server():
            return False
        time.sleep(self.dice.uniform(0, 0.1))
        self.kill_server()
        return True

    def upgrade(self):
        self.instance.install()
        return self.kill_server("upgrade")

    def keeper_and_server(self):
        self.down()
        self.kill(self.keeper, "keeper")
        self.keeper.wait_gone()
        time.sleep(self.dice.choice([0, 0, 0.3]))
        # One that the keeper had just begun to start comes a moment later.
        for _ in range(20):
            if self.kill_server():
                break
            time.sleep(0.01)
        self.remount()
        return True

    def server_while_keeper_stopped(self):
        self.world[STOPS] += 1
        self.world.note("stop-keeper")
        self.keeper.signal(signal.SIGSTOP)
        self.kill_server()
        time.sleep(self.dice.uniform(0, 1))
        self.keeper.signal(signal.SIGCONT)
        return True

    def stop_server(self):
        server = self.instance.server()
        if not server:
            return False
        self.stopped(server, "stop-server", 2, lambda: None)
        server.close()
        return True

    def stop_and_kill_server(self):
        server = self.instance.server()
        if not server:
            return False
        self.stopped(server, "stop-server", 1, self.kill_server)
        server.close()
        return True

    def stopped(self, process, kind, seconds, meanwhile):
        self.world[STOPS] += 1
        self.world.note(kind)
        process.signal(signal.SIGSTOP)
        try:
            time.sleep(self.dice.uniform(0.02, seconds))
            meanwhile()
            time.sleep(self.dice.uniform(0, 0.2))
        finally:
            process.signal(signal.SIGCONT)
            self.world[STOPS] += 1

    def net(self):
        process = self.instance.net()
        if not process:
            return False
        self.kill(process, "net")
        process.close()
        return True

    def stop_net(self):
        process = self.instance.net()
        if not process:
            return False
        self.stopped(process, "stop-net", 1, lambda: None)
        process.close()
        return True

    def with_pod(self, do):
        pods = sorted(self.instance.pods(), key=lambda p: (p.pod, p.pid))
        chosen = self.dice.choice(pods) if pods else None
        try:
            return bool(chosen) and do(chosen) is not False
        finally:
            for p in pods:
                p.close()

    def pod(self):
        return self.with_pod(self.kill_pod)

    def kill_pod(self, pod):
        if pod.removing:
            self.removers[pod.uid] += 1
            if self.removers[pod.uid] > REMOVER_KILLS:
                return False
        self.kill(pod, "pod", pod.uid, pod.pod)
        return True

    def stop_pod(self):
        return self.with_pod(lambda pod: self.stopped(pod, "stop-pod", 1.2, lambda: None))

    def server_while_pod_stopped(self):
        return self.with_pod(lambda pod: self.stopped(pod, "stop-pod", 0.5, self.kill_server))

    def pod_and_server(self):
        def both(pod):
            if self.kill_pod(pod):
                self.kill_server()
        return self.with_pod(both)


KINDS = [(30, Killer.server), (6, Killer.server_twice), (8, Killer.upgrade), (8, Killer.keeper_and_server),
         (3, Killer.server_while_keeper_stopped), (6, Killer.stop_server), (4, Killer.stop_and_kill_server), (14, Killer.pod),
         (8, Killer.stop_pod), (4, Killer.server_while_pod_stopped), (4, Killer.pod_and_server),
         (10, Killer.net), (3, Killer.stop_net)]


def only(names):
    """Some kinds of kill alone."""
    KINDS[:] = [(w, k) for w, k in KINDS if k.__name__ in names]
