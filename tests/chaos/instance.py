"""An instance of podfs of its own: programs, mount, processes, and what must not be left of it.

Every process is known by the instance's folder in its command line, and is signalled through a pidfd that was opened before its
command line was read, so that nobody else's process is ever meant.
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
import hashlib

PROGRAMS = {"podfs": "tools/podfs", "podfs-server": "fs/podfs-server", "podfs-pod": "runtime/pod/podfs-pod",
            "podfs-image": "runtime/image/podfs-image", "podfs-net": "runtime/net/podfs-net"}
IMAGE = "chaos"
BELOW = "podfs-chaos-below" # a folder that nobody can write to, under the mount


# Everything of the host's network that podfs could leave.
NETWORK = """ip -o link | sed 's/ qdisc [a-z]*//'; ip -o addr | sed 's/valid_lft.*//'; ip route show table all; ip -6 route show table all
ip rule; nft list ruleset; ss -Hlntu"""


def own_network():
    """The program again, in a network namespace of its own, which is then the host of the instance."""
    if os.environ.pop("PODFS_CHAOS_NETWORK", ""):
        return
    os.environ["PODFS_CHAOS_NETWORK"] = "own"
    os.execvp("unshare", ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable] + sys.argv)


class Process:
    """A process of the instance, held by its pidfd."""

    def __init__(self, pid, fd, argv, stat):
        self.pid, self.fd, self.argv = pid, fd, argv
        self.parent, self.leader = int(stat[1]), int(stat[3]) == pid
        self.name = os.path.basename(argv[0])

    def signal(self, sig):
        try:
            signal.pidfd_send_signal(self.fd, sig)
        except ProcessLookupError:
            pass

    def wait_gone(self, seconds=30):
        """A pidfd is readable when its process has ended."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                signal.pidfd_send_signal(self.fd, 0)
                with open(f"/proc/{self.pid}/stat", encoding="ascii") as f:
                    if f.read().rpartition(")")[2].split()[0] == "Z":
                        return
            except (ProcessLookupError, FileNotFoundError):
                return
            time.sleep(0.005)
        raise TimeoutError(f"{self.name} {self.pid} does not end")

    def close(self):
        os.close(self.fd)


class Pod(Process):
    """podfs-pod: its command line names the pod."""

    def __init__(self, *how):
        super().__init__(*how)
        self.removing = self.argv[1] == "-remove"
        self.uid, self.pod = self.argv[1 + self.removing:3 + self.removing]


class Instance:
    def __init__(self, build, options):
        self.build = os.path.abspath(build)
        self.top = tempfile.mkdtemp(prefix="podfs-chaos.", dir="/var/tmp")
        self.group = os.path.basename(self.top)
        self.mount_point, self.state, self.run = (os.path.join(self.top, d) for d in ("pods", "state", "run"))
        self.bin = os.path.join(self.top, "bin")
        self.options = ",".join([f"state={self.state},run={self.run},cgroup={self.group}"] + options)
        os.mkdir(self.mount_point)
        os.mkdir(self.bin)
        self.network = network_now()
        self.install()
        # What is done while nothing is mounted must not be done to a folder below.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "ro,size=4k", BELOW, self.mount_point], check=True)

    # --- programs ---

    def install(self):
        """As an upgrade does: each program is another file in place of the one that runs."""
        for name, path in PROGRAMS.items():
            new = os.path.join(self.bin, f".{name}")
            shutil.copy(os.path.join(self.build, path), new)
            os.rename(new, os.path.join(self.bin, name))

    # --- mount ---

    def mount(self):
        done = subprocess.run([os.path.join(self.bin, "podfs"), "-o", self.options, self.mount_point], timeout=60,
                              env={**os.environ, "PODFS_LIBEXEC": self.bin}, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"podfs does not mount: {done.stderr.strip()}")

    def mounted(self):
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            return any(f" {self.mount_point} " in line and " fuse.podfs " in line for line in f)

    def path(self, *parts):
        return os.path.join(self.mount_point, *parts)

    def import_image(self, cache):
        """busybox with /bin/payload in it."""
        archive = os.path.join(self.top, "image.tar")
        make_image(cache, os.path.join(self.build, "tests/chaos/payload-chaos"), archive)
        shutil.copyfile(archive, self.path(".node/images", IMAGE))

    # --- processes ---

    def processes(self):
        """All that name the instance in their command line. Each is to be closed."""
        found = []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                p = self.process(int(entry))
                if p:
                    found.append(p)
        return found

    def process(self, pid):
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return None
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                argv = f.read().decode(errors="replace").rstrip("\0").split("\0")
            with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as f:
                stat = f.read().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            stat = ["Z"]
        name = os.path.basename(argv[0]) if stat[0] != "Z" else ""
        if name not in PROGRAMS or not any(self.state in a for a in argv):
            os.close(fd)
            return None
        return (Pod if name == "podfs-pod" and len(argv) >= 6 else Process)(pid, fd, argv, stat)

    def keeper(self):
        return self.only(lambda p: p.name == "podfs" and p.leader)

    def server(self):
        return self.only(lambda p: p.name == "podfs-server")

    def net(self):
        return self.only(lambda p: p.name == "podfs-net" and p.leader)

    def only(self, wanted):
        chosen = None
        for p in self.processes():
            if chosen is None and wanted(p):
                chosen = p
            else:
                p.close()
        return chosen

    def pods(self):
        """The podfs-pod of each pod, without its children."""
        keep = []
        for p in self.processes():
            if isinstance(p, Pod) and p.leader:
                keep.append(p)
            else:
                p.close()
        return keep

    # --- what is left ---

    def mounts(self):
        """In our own namespace: others on the machine may have copied it with its mounts."""
        with open("/proc/self/mountinfo", encoding="utf-8") as f:
            return {line.split()[4] for line in f if self.top in line and BELOW not in line}

    def groups(self):
        """Its folder of each hierarchy."""
        return [d for d in [f"/sys/fs/cgroup/{self.group}"] + glob.glob(f"/sys/fs/cgroup/*/{self.group}") if os.path.isdir(d)]

    def left(self):
        """What is still there of it, after the umount; {} is right."""
        processes = self.processes()
        found = {
            "processes": [f"{p.pid} {' '.join(p.argv)}" for p in processes],
            "mounts": sorted(self.mounts()),
            "cgroups": self.groups(),
            "records": listing(os.path.join(self.state, "pods")),
            "imports": listing(os.path.join(self.state, "images/tmp")),
            "sockets": [n for n in listing(self.run) if n.endswith(".sock")],
            "network": sorted(set(network_now()) ^ set(self.network)),
        }
        for p in processes:
            p.close()
        return {what: names for what, names in found.items() if names}

    def sweep(self):
        """After a failure: all of it, by force; again, as who is killed may just have started another."""
        while processes := self.processes():
            for p in processes:
                p.signal(signal.SIGCONT)
                p.signal(signal.SIGKILL)
                p.close()
            time.sleep(0.02)
        while self.mounted():
            subprocess.run(["umount", "-l", self.mount_point], check=False)
        for group in sorted(g for top in self.groups() for g, _, _ in os.walk(top))[::-1]:
            for _ in range(50):
                try:
                    os.rmdir(group)
                except FileNotFoundError:
                    pass
                except OSError:
                    time.sleep(0.02)
                    continue
                break
        self.remove()

    def remove(self):
        while os.path.ismount(self.mount_point):
            subprocess.run(["umount", "-l", self.mount_point], check=True)
        subprocess.run(["rm", "-rf", "--one-file-system", self.top], check=True)


def network_now():
    return subprocess.run(["sh", "-c", NETWORK], capture_output=True, text=True, check=False).stdout.splitlines()


def listing(folder):
    return sorted(os.listdir(folder)) if os.path.isdir(folder) else []


def digest(path):
    with open(path, "rb") as f:
        return hashlib.file_digest(f, "sha256").hexdigest()


def make_image(cache, payload, archive):
    """As `docker save` writes it: the busybox layer of tests/images, and one with the payload."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(archive)) as work:
        base, ours, config, manifest = (os.path.join(work, n) for n in ("base.tar", "ours.tar", "config.json", "manifest.json"))
        with tarfile.open(os.path.join(cache, "busybox-docker.tar")) as t, open(base, "wb") as out:
            shutil.copyfileobj(t.extractfile("./0001/layer.tar"), out)
        with tarfile.open(ours, "w") as t:
            t.add(payload, "bin/payload")
        machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
        with open(config, "w", encoding="ascii") as f:
            json.dump({"architecture": machine, "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
                       "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest(p)}" for p in (base, ours)]}}, f)
        with open(manifest, "w", encoding="ascii") as f:
            json.dump([{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["base.tar", "ours.tar"]}], f)
        with tarfile.open(archive, "w") as t:
            for name in (manifest, config, base, ours):
                t.add(name, os.path.basename(name))


def parse_uid(manifest):
    found = re.search(r"^ *uid: *\"?([0-9a-f-]{36})", manifest, re.M)
    return found.group(1) if found else None
