"""What a worker holds to be true of its pods, and how a log is held against it.

Counts are ranges where the rules leave it open: a write that was under way when its answer was lost may have been done or not.
"""
import random

TERMINATED, KILLED = 7, 137

# What must hold, beside what always must. False: known not to yet, so the model lets it pass and counts it.
HOLDS = {
    "once": True,     # a request that comes again after the server's death is not done twice, nor refused for having been done
    "handles": True,  # an opening for writing survives the server
    "sessions": True, # so do sessions, shells, and what they wrote
    "lost": True,     # a pod whose process was killed is the same to any number of servers after it
}


class Container:
    def __init__(self, name, tag, mode, words, code):
        self.name, self.tag, self.mode, self.words, self.code = name, tag, mode, words, code
        self.runs = [0, 0]      # at least, at most
        self.cuts = 0           # runs that a SIGKILL may have ended
        self.ended = False      # it has been seen to end
        self.up = False         # it runs until something is done to it
        self.restarts = [0, 0]  # by its policy
        self.follower = self.waiter = None
        self.ends = {code}      # what a reader of wait/ended may be told
        self.stale = False      # outputs of exec/NAME may be waiting that nobody could read

    def started(self):
        """flaky: its policy may start it again so many times."""
        self.runs[0] += 1
        self.runs[1] += 1 + (int(self.words[1]) if self.mode == "flaky" else 0)
        self.up = self.mode == "lines" and self.words[0] == "0"

    def settled(self):
        """A flaky one has ended well."""
        times = int(self.words[1])
        extra = self.runs[1] - self.runs[0] - times
        self.runs[0] += times
        self.restarts = [times - extra, times]

    def finite(self):
        return self.mode == "flaky" or self.words[0] != "0"

    def maybe_started(self):
        self.runs[1] += 1
        self.cuts += 1

    def maybe_restarted(self):
        self.maybe_started()
        self.restarts[1] += 1


class Pod:
    def __init__(self, name, restart, born):
        self.name, self.restart, self.born = name, restart, born
        self.uid = self.port = None
        self.ip = ""
        self.kills = 0        # of its process, that the model knows of
        self.ever_killed = False
        self.containers = {}
        self.settings = {}    # path below the pod: what it reads
        self.serial = 0

    def forever(self):
        return [c for c in self.containers.values() if c.up]


class LogError(Exception):
    pass


class Run:
    def __init__(self, number):
        self.number = number
        self.last = {"out": 0, "err": 0}
        self.end = None


def parse_log(text, tag, torn):
    """The runs in it. Every line is of this container, numbered without a gap; torn: how many may have been cut short."""
    runs = []
    for at, line in enumerate(text.split("\n")[:-1], 1):
        words = line.split(" ")
        if len(words) != 4 or words[0] != tag or len(words[1]) != 16 or not words[3].isdigit():
            if torn and tag in line:
                # What was cut short stands before a whole line.
                torn -= 1
                words = line[line.rindex(tag):].split(" ")
                if len(words) != 4:
                    continue
            else:
                raise LogError(f"line {at}: {line!r}")
        take_line(runs, words[1], words[2], int(words[3]), at)
    return runs


def take_line(runs, number, stream, n, at):
    if not runs or runs[-1].number != number:
        if runs and number <= runs[-1].number:
            raise LogError(f"line {at}: run {number} again, after {runs[-1].number}")
        runs.append(Run(number))
    run = runs[-1]
    if stream in run.last:
        if n != run.last[stream] + 1:
            raise LogError(f"line {at}: {stream} {n} of run {number} after {run.last[stream]}")
        run.last[stream] = n
    elif run.end is not None:
        raise LogError(f"line {at}: run {number} ends twice")
    else:
        run.end = stream
        if n != run.last["out"]:
            raise LogError(f"line {at}: run {number} ends at {n} after out {run.last['out']}")


def check_log(container, text, torn=0):
    """Held against the model; the runs."""
    runs = parse_log(text, container.tag, torn)
    low, high = container.runs
    if not low <= len(runs) <= high:
        raise LogError(f"{len(runs)} runs, not {low} to {high}")
    running = 1 if runs and runs[-1].end is None else 0
    cut = sum(run.end is None for run in runs) - running
    if cut > container.cuts:
        raise LogError(f"{cut} runs have no end, {container.cuts} may")
    return runs


def choose(dice, table):
    """From (weight, value) pairs."""
    return dice.choices([v for _, v in table], [w for w, _ in table])[0]


def new_container(dice, name, tag, restart):
    """What it will run, by the pod's policy."""
    forever = ("lines", ["0", str(choose(dice, [(3, 20000), (2, 100000), (1, 5000)]))], TERMINATED)
    code = dice.choice([0, 0, 1, 3, 42])
    finite = ("lines", [str(dice.randint(1, 400)), str(dice.choice([0, 1000, 10000])), str(code)], code)
    loud = ("lines", [str(dice.randint(2000, 6000)), "0", str(code)], code)
    flaky = ("flaky", [f"/dev/shm/{name}", str(dice.randint(1, 3)), str(dice.choice([1, 3, 42]))], 0)
    kinds = {"Never": [(4, forever), (3, finite), (1, loud)], "OnFailure": [(3, forever), (4, flaky)], "Always": [(1, forever)]}
    mode, words, code = choose(dice, kinds[restart])
    if mode == "lines" and len(words) == 2:
        words = words + [str(TERMINATED)]
    return Container(name, tag, mode, words, code)


def command(container):
    return " ".join(["payload", container.mode, container.tag] + container.words)


def seeded(seed, who):
    return random.Random(f"{seed}/{who}")
