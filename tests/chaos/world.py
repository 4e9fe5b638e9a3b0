"""What the killer and the workers know of each other: a few counters in shared memory, and the list of kills.

A worker that meets an error asks here what has been done to it meanwhile: whether the mount was lost, the server killed, its own
pod's process killed. The list is written before the kill, so nothing is ever met that is not in it.
"""
import mmap
import os
import struct
import time

ENDING, PAUSED, DOWN, LOSSES, SERVERS, FAILED, STOPS = range(7)


class World:
    def __init__(self, top):
        """top: the folder of the instance."""
        self.top = top
        self.name = top.rpartition(".")[2]
        self.mount = os.path.join(top, "pods")
        self.shared = mmap.mmap(-1, 4096)
        self.list = os.open(os.path.join(top, "kills"), os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def __getitem__(self, which):
        return struct.unpack_from("=Q", self.shared, which * 8)[0]

    def __setitem__(self, which, value):
        struct.pack_into("=Q", self.shared, which * 8, value)

    # --- kills ---

    def note(self, kind, *words):
        """Before it is done."""
        line = " ".join((f"{time.monotonic():.3f}", kind) + words)
        os.write(self.list, line.encode() + b"\n")

    def kills(self):
        """(time, kind, words…), the oldest first."""
        text = os.pread(self.list, 1 << 24, 0).decode()
        return [(float(at), *words) for at, *words in map(str.split, text.splitlines())]

    def pod_kills(self, uid, name, since):
        """How often the process of that pod was killed. Without its uid: of one with that name."""
        return sum(1 for at, kind, *words in self.kills()
                   if kind == "pod" and (words[0] == uid if uid else words[1] == name and at >= since))

    # --- the mount ---

    def wait_up(self, seconds):
        """The killer is at it: mounted again within the time."""
        deadline = time.monotonic() + seconds
        while self[DOWN]:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True
