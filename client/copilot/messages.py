"""The commands of the Co-Pilot protocol as plain data, and their way to and from the maps that stanzas carry.

One frozen dataclass per command; `client.copilot.stanza` makes XML of the maps. Our extensions stand beside the
original commands: receivers that do not know them ignore the attributes and drop the commands.
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, Union

from client.copilot import fields as wire
from client.copilot.errors import BadStanza
from client.copilot.fields import Wire, optional, usual

if TYPE_CHECKING:  # agents report nothing, and a guest's start is counted in tenths of a second
    from client.copilot.events import Report

Info: TypeAlias = Mapping[str, Union[str, "Info"]]
JobData: TypeAlias = Mapping[str, str]

#: An agent that announces it asks for tokens of outside services.
PILOT: Final = "pilot"
#: What our agents announce in `extensions`.
EXTENSIONS: Final = frozenset({"lease", "claim", "verdict", PILOT})
#: And this, when they have a way to the project's HTTPS server.
HTTPS: Final = "https"


@dataclass(frozen=True)
class JobDescription:
    """What is to be done: the `job` child of runJob.

    Attributes:
        chirp_url: `host[:port]` of the file server of the input.
        input_dir: directory on it.
        input_files: paths below input_dir.
        command: executable in the work directory; arguments and environment are shell text.
        validation_script: run after the job; empty for none.
        time_limit_s: extension; None when the submitter set none.
        title: extension; what volunteers read, empty when the submitter gave none.
        pilot_service: extension; the outside service that the job needs a token of, empty for none.
        input_url: extension; where the input files are, too, behind a slash; for agents that announced `https`.
        no_output: extension; the exit code is the result, jobDone goes without an upload to whoever takes outputs.
    """

    id: str = field(metadata=wire.required("id", wire.ID))
    chirp_url: str = usual("chirpUrl", wire.exact(255))
    input_dir: str = usual("inputDir", wire.exact(wire.MAX_PATH))
    input_files: tuple[str, ...] = usual("inputFiles", wire.FILES, ())
    command: str = usual("command", wire.COMMAND)
    arguments: str = usual("arguments", wire.SHELL)
    environment: str = usual("environment", wire.SHELL)
    packages: str = usual("packages", wire.exact(4096))
    validation_script: str = optional("validationScript", wire.exact(4096), "")
    time_limit_s: int | None = optional("timeLimit", wire.SECONDS)
    title: str = optional("title", wire.text(200), "")
    input_url: str = optional("inputUrl", wire.URL, "")
    pilot_service: str = optional("pilotService", wire.MAYBE_ID, "")
    no_output: bool = optional("noOutput", wire.FLAG, False)


@dataclass(frozen=True)
class WantGetJob:
    """Agent to all job managers: is there work? jdl: what the computer is."""

    command: ClassVar[str] = "want_getJob"
    jdl: str = usual("jdl", wire.text(16_000, lines=True))
    agent_host: str = usual("agentHost", wire.HOST)
    extensions: frozenset[str] = optional("extensions", wire.WORDS, frozenset())


@dataclass(frozen=True)
class HaveGetJob:
    """Manager: there is work. require_file: path that must exist at the agent; empty for none."""

    command: ClassVar[str] = "have_getJob"
    require_file: str = optional("requireFile", wire.text(1000), "")


@dataclass(frozen=True)
class GetJob:
    """Agent to the manager that answered: give me a job."""

    command: ClassVar[str] = "getJob"
    jdl: str = usual("jdl", wire.text(16_000, lines=True))
    agent_host: str = usual("agentHost", wire.HOST)
    extensions: frozenset[str] = optional("extensions", wire.WORDS, frozenset())


@dataclass(frozen=True)
class RunJob:
    """Manager: do this job. lease_s and lease_id only to agents that announced `lease`."""

    command: ClassVar[str] = "runJob"
    job: JobDescription = field(metadata=wire.nested("job", JobDescription))
    job_data: JobData = field(default_factory=dict, metadata=wire.JOB_DATA)
    lease_s: int | None = optional("lease", wire.SECONDS)
    lease_id: str = optional("leaseID", wire.MAYBE_ID, "")


@dataclass(frozen=True)
class WantGetJobOutputDir:
    """Agent to all storage managers: who takes the output of this job?"""

    command: ClassVar[str] = "want_getJobOutputDir"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    agent_host: str = usual("agentHost", wire.HOST)
    job_data: JobData = field(default_factory=dict, metadata=wire.JOB_DATA)
    agent_ip: str = usual("agentIP", wire.HOST, "todo")


@dataclass(frozen=True)
class HaveGetJobOutputDir:
    """Manager: I take outputs."""

    command: ClassVar[str] = "have_getJobOutputDir"


@dataclass(frozen=True)
class GetJobOutputDir:
    """Agent to the manager that answered: where shall the output go?

    Attributes:
        output_size: extension; bytes of the archive, of an agent that can upload by HTTPS.
    """

    command: ClassVar[str] = "getJobOutputDir"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    agent_host: str = usual("agentHost", wire.HOST)
    job_data: JobData = field(default_factory=dict, metadata=wire.JOB_DATA)
    output_size: int | None = optional("outputSize", wire.SIZE)


@dataclass(frozen=True)
class StoreJobOutputDir:
    """Manager: upload to this file server. job_id is what the agent goes by; output_dir equals it.

    Attributes:
        put_url: extension, only to agents that told output_size: put it here instead, once, with put_headers.
        put_limit: extension; most bytes that are taken.
    """

    command: ClassVar[str] = "storeJobOutputDir"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    output_dir: str = usual("outputDir", wire.exact(wire.MAX_PATH))
    chirp_url: str = usual("outputChirpUrl", wire.SERVER)
    job_data: JobData = field(default_factory=dict, metadata=wire.JOB_DATA)
    put_url: str = optional("putUrl", wire.URL, "")
    put_headers: tuple[tuple[str, str], ...] = optional("putHeaders", wire.HEADERS, ())
    put_limit: int | None = optional("putLimit", wire.SIZE)


@dataclass(frozen=True)
class JobDone:
    """Agent to the storage manager: the output is with you.

    Attributes:
        exit_code: raw wait status of the job (exit 1 is 256).
        validate_exit_code: the same of the validation script; None without one.
    """

    command: ClassVar[str] = "jobDone"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    agent_host: str = usual("agentHost", wire.HOST)
    state: str = usual("state", wire.text(64), "ready")
    exit_code: int = usual("exitCode", wire.WAIT_STATUS, 0)
    validate_exit_code: int | None = optional("validateExitCode", wire.WAIT_STATUS)
    job_data: JobData = field(default_factory=dict, metadata=wire.JOB_DATA)


@dataclass(frozen=True)
class Sleep:
    """Manager: ask again later."""

    command: ClassVar[str] = "sleep"


@dataclass(frozen=True)
class Error:
    """Manager: something is wrong with you."""

    command: ClassVar[str] = "error"
    text: str = usual("errorString", wire.LINE)


@dataclass(frozen=True)
class Redirect:
    """Manager: send `info` to `referral` instead."""

    command: ClassVar[str] = "redirect"
    referral: str = field(metadata=wire.required("referral", wire.JID))
    info: Info = field(metadata=wire.nested("info", dict))


@dataclass(frozen=True)
class SecurityError:
    """Secure mode: a message could not be decrypted. Never answered."""

    command: ClassVar[str] = "security_error"
    text: str = usual("errorString", wire.LINE)


@dataclass(frozen=True)
class GetTicket:
    """Secure mode, agent to key manager: a ticket, please."""

    command: ClassVar[str] = "getTicket"
    credential: str = usual("credential", wire.exact(1000))


@dataclass(frozen=True)
class StoreTicket:
    """Secure mode, key manager: your ticket."""

    command: ClassVar[str] = "storeTicket"
    ticket: str = usual("ticket", wire.exact(16_000))


@dataclass(frozen=True)
class GetPilotToken:
    """Extension. Agent to all managers: the job that I hold needs a token of an outside service."""

    command: ClassVar[str] = "getPilotToken"
    service: str = field(metadata=wire.required("service", wire.ID))
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    lease_id: str = field(metadata=wire.required("leaseID", wire.ID))


@dataclass(frozen=True)
class PilotToken:
    """Extension. Key manager: here it is, good until expires_at (epoch seconds)."""

    command: ClassVar[str] = "pilotToken"
    service: str = field(metadata=wire.required("service", wire.ID))
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    token: str = field(repr=False, metadata=wire.required("token", wire.TOKEN))
    expires_at: int = usual("expiresAt", wire.EPOCH, 0)


@dataclass(frozen=True)
class NoPilotToken:
    """Extension. Key manager: there is none for you."""

    command: ClassVar[str] = "noPilotToken"
    service: str = field(metadata=wire.required("service", wire.ID))
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    reason: str = usual("reason", wire.LINE)


@dataclass(frozen=True)
class GetContext:
    """A machine to the context manager: what is kept for me? key: SHA-1 of it in hexadecimal digits."""

    command: ClassVar[str] = "getContext"
    context_id: str = field(metadata=wire.required("contextID", wire.ID))
    key: str = usual("contextKey", wire.exact(100))
    agent_host: str = usual("agentHost", wire.HOST)
    agent_ip: str = usual("agentIP", wire.HOST)


@dataclass(frozen=True)
class ApplyContext:
    """Context manager: this. context: `key=base64` items joined by `###`."""

    command: ClassVar[str] = "applyContext"
    context_id: str = field(metadata=wire.required("contextID", wire.ID))
    context: str = usual("context", wire.SHELL)


@dataclass(frozen=True)
class NoContext:
    """Context manager: nothing, or the key was not right."""

    command: ClassVar[str] = "noContext"
    context_id: str = field(metadata=wire.required("contextID", wire.ID))


@dataclass(frozen=True)
class ExtendLease:
    """Extension. Agent to the manager that gave the job: I still work on it."""

    command: ClassVar[str] = "extendLease"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    lease_id: str = field(metadata=wire.required("leaseID", wire.ID))


@dataclass(frozen=True)
class LeaseExtended:
    """Extension. Manager: the job is yours for lease_s more seconds."""

    command: ClassVar[str] = "leaseExtended"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    lease_s: int = field(metadata=wire.required("lease", wire.SECONDS))


@dataclass(frozen=True)
class LeaseLost:
    """Extension. Manager: the job is not yours any more; drop it."""

    command: ClassVar[str] = "leaseLost"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    reason: str = usual("reason", wire.LINE)


@dataclass(frozen=True)
class ClaimJob:
    """Extension. Agent to all job managers, after a pause or a fresh boot: is this job still mine?"""

    command: ClassVar[str] = "claimJob"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    lease_id: str = field(metadata=wire.required("leaseID", wire.ID))


@dataclass(frozen=True)
class JobClaimed:
    """Extension. Manager: it is yours again, with this lease."""

    command: ClassVar[str] = "jobClaimed"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    lease_s: int = field(metadata=wire.required("lease", wire.SECONDS))
    lease_id: str = field(metadata=wire.required("leaseID", wire.ID))


@dataclass(frozen=True)
class JobVerdict:
    """Extension. Storage manager, after jobDone was checked."""

    command: ClassVar[str] = "jobVerdict"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    accepted: bool = field(metadata=wire.required("accepted", wire.FLAG))
    reason: str = usual("reason", wire.LINE)


@dataclass(frozen=True)
class JobFailedReport:
    """Extension `jobFailed`. Agent to the manager that gave the job: it cannot reach its end here.

    last_lines: what the job printed last; empty for nothing.
    """

    command: ClassVar[str] = "jobFailed"
    job_id: str = field(metadata=wire.required("jobID", wire.ID))
    lease_id: str = field(metadata=wire.required("leaseID", wire.ID))
    cause: str = usual("cause", wire.LINE)
    last_lines: str = optional("lastLines", wire.text(4000, lines=True), "")


Command: TypeAlias = (
    WantGetJob
    | HaveGetJob
    | GetJob
    | RunJob
    | WantGetJobOutputDir
    | HaveGetJobOutputDir
    | GetJobOutputDir
    | StoreJobOutputDir
    | JobDone
    | Sleep
    | Error
    | Redirect
    | SecurityError
    | GetTicket
    | StoreTicket
    | GetContext
    | ApplyContext
    | NoContext
    | ExtendLease
    | LeaseExtended
    | LeaseLost
    | ClaimJob
    | JobClaimed
    | JobVerdict
    | JobFailedReport
    | GetPilotToken
    | PilotToken
    | NoPilotToken
)
_KINDS: Final[Mapping[str, type[Any]]] = {kind.command: kind for kind in Command.__args__}


def parse_info(info: Info) -> Command | None:
    """The command that a map holds; None when it is none that we know.

    Raises:
        BadStanza: a known command with a missing or unusable value.
    """
    parsed: Command | None = parse_among(_KINDS, info)
    return parsed


def parse_among(kinds: Mapping[str, type[Any]], info: Info) -> Any:
    """The command that a map holds, of these kinds by their words; None when it is none of them. Raises BadStanza."""
    name = info.get("command")
    kind = kinds.get(name) if isinstance(name, str) else None
    return None if kind is None else _parse(kind, info, str(name))


def build_info(command: "Command | Report") -> Info:
    """The map that carries a command."""
    return {"command": command.command, **_build(command)}


def _parse(kind: type[Any], info: Info, command: str) -> Any:
    found: dict[str, Any] = {}
    for spec in fields(kind):
        way: Wire = spec.metadata["wire"]
        if way.name in info:
            found[spec.name] = _parse_value(way, info[way.name], command)
        elif way.required:
            raise BadStanza(command, way.name, "is missing")
    return kind(**found)


def _parse_value(way: Wire, value: "str | Info", command: str) -> Any:
    if way.nested is not None:
        if isinstance(value, str):
            raise BadStanza(command, way.name, "is not a map")
        return value if way.nested is dict else _parse(way.nested, value, command)
    if not isinstance(value, str) or way.codec is None:
        raise BadStanza(command, way.name, "is not a text")
    try:
        return way.codec.parse(value)
    except ValueError as wrong:
        raise BadStanza(command, way.name, str(wrong)) from wrong


def _build(command: Any) -> dict[str, "str | Info"]:
    info: dict[str, str | Info] = {}
    for spec in fields(command):
        way: Wire = spec.metadata["wire"]
        value = getattr(command, spec.name)
        if way.nested is not None:
            info[way.name] = value if way.nested is dict else _build(value)
        elif way.codec is not None and (way.always or not _is_default(spec, value)):
            info[way.name] = way.codec.build(value)
    return info


def _is_default(spec: Any, value: Any) -> bool:
    default = spec.default_factory() if spec.default_factory is not MISSING else spec.default
    return bool(value == default)
