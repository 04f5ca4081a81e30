"""What people read when something goes wrong with jobs, agents, and what serves a project: error code -> sentences."""

from typing import Final

from client.sentences import RETRY, Sentence
from client.snapshot import Severity

SERVING: Final[dict[str, Sentence]] = {
    "guest-not-ready": Sentence(
        "The virtual machine {vm_id} is {state}.", "Start it first: main.py vm start.", Severity.ERROR
    ),
    "job-failed": Sentence("Job {job_id} failed: {cause}", "It was reported; the next job is being asked for."),
    "bad-stanza": Sentence(
        "A message ({command}) carried an unusable value: {field} {said}.", "It was dropped, nothing else happened."
    ),
    "not-decoded": Sentence("An encrypted message could not be read: {said}.", "It was dropped."),
    "ticket-refused": Sentence("A ticket was refused: {said}.", "Its agent was told, and may ask for a new one."),
    "no-key-of": Sentence(
        "Nothing can be encrypted for {jid}: its public key is not known.",
        "Add it to the file of public keys, or leave the secure mode of the original Co-Pilot.",
        Severity.ERROR,
    ),
    "transport-down": Sentence("There is no connection to the project's message server as {jid}.", RETRY),
    "ask-failed": Sentence("{to} did not answer a question: {said}.", RETRY),
    "transfer-failed": Sentence(
        "A file could not be moved to or from {server}: {path} ({said}).",
        "It is tried a few times, then the job goes back to the queue.",
    ),
    "file-too-big": Sentence(
        "{path} has {size_bytes} bytes, more than the {limit_bytes} allowed.", "The job goes back to the project."
    ),
    "bad-requirements": Sentence(
        "The requirements {text} cannot be read from character {position} on: {said}.",
        'Write comparisons such as other.Memory >= 2000 && other.Platform == "Linux-x86_64".',
        Severity.ERROR,
    ),
    "bad-order": Sentence("Job {job_id} cannot be taken: {said}.", "Correct it and submit it again.", Severity.ERROR),
    "job-exists": Sentence("There is a job {job_id} already.", "Submit it under another id.", Severity.ERROR),
    "queue-unusable": Sentence(
        "The job queue {path} cannot be used: {said}",
        "Check the file and its folder; no job is taken until then.",
        Severity.ERROR,
    ),
    "redis-unusable": Sentence(
        "The job queue at {path} cannot be used: {said}.",
        "Check the Redis server; all goes on by itself when it is back.",
        Severity.ERROR,
    ),
    "monitor-store": Sentence(
        "The monitor's file {path} cannot be used: {said}",
        "Make room on the disk, or move the file away: the monitor then begins a new one.",
        Severity.ERROR,
    ),
    "instance-running": Sentence(
        "A storage manager named {instance} works in {folder} already.",
        "Give this one another name ([xmpp] resource in its configuration file), or stop the other one.",
        Severity.ERROR,
    ),
    "output-refused": Sentence("The output was refused: {said}", "The job goes back to the queue."),
    "site-running": Sentence(
        "The local site in {folder} runs already.", "Use it, or end it: main.py site down.", Severity.ERROR
    ),
    "site-not-running": Sentence(
        "The local site in {folder} does not run.", "Start it: main.py site up.", Severity.ERROR
    ),
    "no-site": Sentence("There is no local site in {folder}.", "Make one: main.py site up.", Severity.ERROR),
    "site-child-not-ready": Sentence(
        "{child} did not start: {said}", "The site was taken down; mend the cause and start it again.", Severity.ERROR
    ),
    "no-such-job": Sentence("There is no job {job_id} in this site.", "What to do: {remedy}.", Severity.ERROR),
    "no-such-agent": Sentence("No agent of {owner} was ever seen here.", "What to do: {remedy}.", Severity.ERROR),
    "job-not-changed": Sentence(
        "Job {job_id} is {state} and cannot {verb}.", "main.py jobs list shows which can.", Severity.ERROR
    ),
}
