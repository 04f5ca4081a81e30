"""Simulate collisions with Pythia 8: steering file in, histograms out.

Usage: simulate.py STEERING EVENTS SEED

Writes summary.json and job.log into the current folder. The generator gets a fresh seed before each event, worked out
from SEED and the event's number alone, so that an event does not depend on those before it: a job that was interrupted
goes on from checkpoint.json and gives the same histograms, bit by bit.

Exit codes: 0 done; 2 bad input (a sentence says what); 3 the generator gave up. On SIGTERM and SIGINT it saves its
state, then ends by that signal.
"""

import hashlib
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

#: name -> (low edge, high edge, number of bins); each histogram has an underflow before and an overflow after its bins.
AXES = {"charged_multiplicity": (0.0, 500.0, 100), "eta": (-6.0, 6.0, 60), "pt": (0.0, 10.0, 100)}
CHECKPOINT = Path("checkpoint.json")
CHECKPOINT_INTERVAL_S = 5.0
PROGRESS_INTERVAL_S = 0.25
#: Pythia's largest seed (its manual, "Random-number seed").
MAX_SEED = 900_000_000
MAX_EVENTS = 100_000_000
MAX_STEERING_BYTES = 1_000_000
#: Fresh seeds tried for one event that Pythia cannot finish.
TRIES = 10


class BadInput(Exception):
    """The job cannot be done as asked; its text says why."""


class GaveUp(Exception):
    """The generator failed in a way that another try will not change."""


class Histograms:
    """Integer counts on fixed axes."""

    def __init__(self, counts=None):
        self.counts = counts or {name: [0] * (bins + 2) for name, (_, _, bins) in AXES.items()}

    def fill(self, name, value):
        """Count one value."""
        low, high, bins = AXES[name]
        index = 0 if value < low else bins + 1 if value >= high else 1 + int((value - low) / (high - low) * bins)
        self.counts[name][index] += 1

    def add(self, event):
        """Count the charged final particles of an event."""
        charged = 0
        for index in range(event.size()):
            particle = event[index]
            if particle.isFinal() and particle.isCharged():
                charged += 1
                self.fill("eta", particle.eta())
                self.fill("pt", particle.pT())
        self.fill("charged_multiplicity", charged)

    def sha256(self):
        """The digest by which two runs are compared."""
        return hashlib.sha256(json.dumps(self.counts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


#: Sums over the runs of a job: events, tries, cross-section times tries, (its error times tries) squared, seconds.
TOTALS = ("events", "tries", "sigma_sum", "error_sum", "elapsed_s")


class State:
    """What a job has reached: events done, histograms, and the totals of the runs before this one."""

    def __init__(self, fits):
        self.fits = fits
        self.done = 0
        self.histograms = Histograms()
        self.earlier = dict.fromkeys(TOTALS, 0)

    def totals(self, pythia, elapsed_s):
        """The totals with this run, of which Pythia tells the cross-section, added."""
        info = pythia.infoPython()  # a copy of what holds now
        events = self.done - self.earlier["events"]
        tries = info.nTried()
        this = (events, tries, tries * info.sigmaGen(), (tries * info.sigmaErr()) ** 2, elapsed_s)
        return {name: self.earlier[name] + value for name, value in zip(TOTALS, this, strict=True)}

    def save(self, totals):
        """Replace the checkpoint whole."""
        write_whole(CHECKPOINT, {"fits": self.fits, "totals": totals, "histograms": self.histograms.counts})

    def load(self, events):
        """Take up the checkpoint, if there is one of the same job."""
        try:
            said = json.loads(CHECKPOINT.read_text(encoding="utf-8"))
            counts = {name: [int(count) for count in said["histograms"][name]] for name in AXES}
            totals = {name: float(said["totals"][name]) for name in TOTALS} | {"events": int(said["totals"]["events"])}
            fits_axes = all(len(counts[name]) == bins + 2 for name, (_, _, bins) in AXES.items())
            whole = fits_axes and sum(counts["charged_multiplicity"]) == totals["events"]
            if said["fits"] != self.fits or not 0 < totals["events"] <= min(events, totals["tries"]) or not whole:
                return
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return
        self.done, self.earlier, self.histograms = totals["events"], totals, Histograms(counts)


class Progress:
    """Tells how far the job is, as JSON lines on the file descriptor that VC_PROGRESS_FD names."""

    def __init__(self, total):
        word = os.environ.get("VC_PROGRESS_FD", "")
        self.descriptor = int(word) if word.isdigit() else None
        self.total = total
        self.last = -math.inf

    def tell(self, done, now):
        """Say it if the last word is old enough or this is the end."""
        if self.descriptor is None or (now - self.last < PROGRESS_INTERVAL_S and done < self.total):
            return
        self.last = now
        line = json.dumps({"done": done, "total": self.total, "unit": "events"}) + "\n"
        try:
            os.write(self.descriptor, line.encode())
        except OSError:
            self.descriptor = None


def write_whole(path, body):
    """Write a JSON file under another name, then give it its own."""
    part = path.with_name(path.name + ".part")
    with part.open("w", encoding="utf-8") as file:
        json.dump(body, file)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def event_seed(seed, event, attempt):
    """A seed for one event, from 1 to MAX_SEED."""
    digest = hashlib.sha256(f"{seed}/{event}/{attempt}".encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % MAX_SEED


def read_arguments(words):
    """Steering text, number of events, seed."""
    if len(words) != 3:
        raise BadInput("usage: run.sh STEERING EVENTS SEED")
    path, events, seed = Path(words[0]), whole_number(words[1], "EVENTS", MAX_EVENTS), whole_number(words[2], "SEED")
    try:
        with path.open("rb") as file:
            content = file.read(MAX_STEERING_BYTES + 1)
        text = content.decode()
    except (OSError, ValueError) as wrong:
        raise BadInput(f"the steering file {path} cannot be read: {wrong}") from wrong
    if len(content) > MAX_STEERING_BYTES:
        raise BadInput(f"the steering file {path} is longer than {MAX_STEERING_BYTES} bytes")
    return text, events, seed


def whole_number(word, name, most=MAX_SEED):
    """A whole number from 1 to `most`."""
    if not (word.isascii() and word.isdigit() and len(word) < 12 and 1 <= int(word) <= most):
        raise BadInput(f"{name} must be a whole number from 1 to {most}, not {word[:40]!r}")
    return int(word)


def make_generator(steering, seed):
    """Pythia, set up and initialised."""
    try:
        import pythia8mc
    except ImportError as missing:
        raise BadInput(f"Pythia 8 is not here: {missing}") from missing
    pythia = pythia8mc.Pythia("", False)
    for number, line in enumerate(steering.splitlines(), 1):
        if not pythia.readString(line):
            raise BadInput(f"line {number} of the steering file is not understood by Pythia: {line.strip()[:200]!r}")
    quiet = ("Init:showChangedParticleData", "Next:numberShowInfo", "Next:numberShowProcess", "Next:numberShowEvent")
    for line in ("Random:setSeed = on", f"Random:seed = {seed}", "Next:numberCount = 0", *(f"{q} = 0" for q in quiet)):
        pythia.readString(line)
    if not pythia.init():
        raise BadInput("Pythia cannot start with this steering file; job.log holds what it said")
    return pythia


def generate(pythia, seed, event):
    """Make one event, whose content depends on the seed and its number alone."""
    for attempt in range(TRIES):
        pythia.rndm.init(event_seed(seed, event, attempt))
        if pythia.next():
            return pythia.event
    raise GaveUp(f"event {event} could not be generated with {TRIES} different seeds")


def simulate(state, pythia, seed, events, stopping):
    """Make the events that are still to do, or as many as there is time for; returns the totals."""
    began = saved = time.monotonic()
    progress = Progress(events)
    progress.tell(state.done, began)
    while state.done < events and not stopping:
        state.histograms.add(generate(pythia, seed, state.done))
        state.done += 1
        now = time.monotonic()
        progress.tell(state.done, now)
        if now - saved >= CHECKPOINT_INTERVAL_S:
            saved = now
            state.save(state.totals(pythia, now - began))
    return state.totals(pythia, time.monotonic() - began)


def summarize(state, totals, pythia, seed, version):
    """The content of summary.json."""
    info = pythia.infoPython()
    return {
        "events": state.done,
        "seed": seed,
        "process": ", ".join(info.nameProc(code) for code in info.codesHard()),
        "sigma_mb": totals["sigma_sum"] / totals["tries"],
        "sigma_error_mb": math.sqrt(totals["error_sum"]) / totals["tries"],
        "axes": {name: {"low": low, "high": high, "bins": bins} for name, (low, high, bins) in AXES.items()},
        "histograms": state.histograms.counts,
        "histograms_sha256": state.histograms.sha256(),
        "pythia_version": version,
        "duration_s": round(totals["elapsed_s"], 3),
    }


def run(words, stopping):
    """Do the job; returns whether it is finished."""
    steering, events, seed = read_arguments(words)
    pythia = make_generator(steering, seed)
    version = f"{pythia.parm('Pythia:versionNumber'):.3f}"
    axes = json.dumps(AXES, sort_keys=True)
    fits = hashlib.sha256(f"{version}\n{seed}\n{axes}\n{steering}".encode()).hexdigest()
    state = State(fits)
    state.load(events)
    print(f"Pythia {version}, seed {seed}: {state.done} of {events} events are done.", flush=True)
    totals = simulate(state, pythia, seed, events, stopping)
    if state.done < events:
        state.save(totals)
        print(f"Stopped after {state.done} of {events} events.", flush=True)
        return False
    pythia.stat()
    write_whole(Path("summary.json"), summarize(state, totals, pythia, seed, version))
    CHECKPOINT.unlink(missing_ok=True)
    print(f"Done: {events} events in {totals['elapsed_s']:.1f} s.", flush=True)
    return True


def main():
    """Returns the exit code; what Pythia and this program print goes to job.log."""
    stopping = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stopping.append(number))
    log = os.open("job.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(log, sys.stdout.fileno())
    try:
        finished = run(sys.argv[1:], stopping)
    except (BadInput, GaveUp) as wrong:
        print(f"Not done: {wrong}", flush=True)
        print(wrong, file=sys.stderr)
        return 2 if isinstance(wrong, BadInput) else 3
    if not finished:
        signal.signal(stopping[0], signal.SIG_DFL)
        os.kill(os.getpid(), stopping[0])
    return 0


if __name__ == "__main__":
    sys.exit(main())
