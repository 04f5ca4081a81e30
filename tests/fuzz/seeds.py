"""Where the fuzzer begins: what honest peers say."""

import gzip
import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from client.copilot import messages
from client.copilot.jdl import build_jdl
from client.link import KINDS, LinkEnd

_CAPTURED: Final = Path(__file__).resolve().parents[1] / "data" / "copilot"
_BODY: Final = re.compile(rb"<body.*?</body>", re.DOTALL)
_JOB: Final = messages.JobDescription("job-1", "host:9094", "in-1", ("run.sh",), "run.sh", "1 2", title="A job")


def _flat(info: messages.Info) -> bytes:
    """A map as the target `command` reads it."""
    words: list[bytes] = []
    for name, value in info.items():
        if isinstance(value, str):
            words += [name.encode(), value.encode()]
        else:
            words += [b">" + name.encode(), b"", _flat(value), b"<", b""]
    return b"\xff".join(words)


def _tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, kind in (("./", tarfile.DIRTYPE), ("./stdout", tarfile.REGTYPE), ("./" + "x" * 120, tarfile.REGTYPE)):
            member = tarfile.TarInfo(name)
            member.type = kind
            archive.addfile(member)
    return file.getvalue()[:4096]


_COMMANDS: Final = (
    messages.RunJob(_JOB, {"startedAt": "1"}, 30, "lease-1"),
    messages.WantGetJob(build_jdl({"Memory": 1}), "vm", frozenset({"lease"})),
    messages.Redirect("a@b", {"command": "jobDone", "jobID": "1", "adapter": {"a": "b"}}),
    messages.JobDone("job-1", "vm", exit_code=256),
    messages.StoreJobOutputDir("job-1", "job-1", "host:9094"),
)
_REPORTS: Final = ("reportEvent", "reportEventDuration", "reportEventValue", "reportEvents", "storeEventDetails")
SEEDS: Final[Mapping[str, Sequence[bytes]]] = {
    "stanza": [body for file in sorted(_CAPTURED.glob("*.txt")) for body in _BODY.findall(file.read_bytes())][:50],
    "command": [_flat(messages.build_info(command)) for command in _COMMANDS]
    + [_flat({"command": kind, "component": "a", "event": "b", "duration": "1", "value": "1"}) for kind in _REPORTS],
    "codecs": [bytes([kind]) + text for kind in range(16) for text in (b"1", b"a=b####", b"###run.sh", b"a@b/c")],
    "path": [b"a/b.txt", b"../x", b"./x", b"a//b"],
    "jdl": [build_jdl({"Memory": 1, "WNHost": "vm"}).encode()],
    "packed": [gzip.compress(b"x" * 1000)],
    "archive": [_tar()],
    "requirements": [b'other.Memory >= 2000 && (Platform == "x" || !(Uname < 5))\xff[\nMemory=3000;\nPlatform="x";\n]'],
    "original": [b"job-1\nhost:9094::::in-1::::###run.sh::::run.sh::::1 2::::export A=1::::VO@A::1::::"],
    "secure": [b"\xff<info command='getJob'><job id='1'/></info>", b"\x00abc\nabc"],
    "ticket": [b"abcd\n###abcd\n"],
    "link": [b"\x40" + LinkEnd("guest").send(kind) for kind in KINDS],
}
