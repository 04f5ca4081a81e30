"""Every file name of a site's folder, once.

<folder>/
  site.toml            what must stay: ports, secrets; mode 0600
  project.toml         for volunteers' clients; holds the enrolment secret, mode 0600
  lock, status.json    held and written by the running site
  queue.sqlite         the jobs, or
  redis/               the data of the site's own Redis, if it keeps the jobs there
  keys.sqlite          whom the key managers know
  monitor.sqlite       what managers told the monitor
  monitor.toml         the operator's wishes for it, if there are any
  revoked.txt          who is shut out; read by the key managers and prosody
  legacy.toml          accounts of original agents; read by prosody
  pilots.toml          the operator's: where tokens of outside services come from; may be missing
  chirp/               root of the file server: one folder per job's output and per input
  input/               the same input, as HTTPS serves it
  storage/             results/, refused/, intake/, grants/
  catalogue/           the appliance as a signed catalogue, with its keys
  tls/                 the site's own certificate authority, and the servers' certificate
  run/                 configurations of the children, prosody's data, "ready" files
  log/                 one file per child
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SiteFolder:
    """The files of one site."""

    base: Path

    @property
    def plan(self) -> Path:
        """Ports and secrets."""
        return self.base / "site.toml"

    @property
    def project(self) -> Path:
        """The project file."""
        return self.base / "project.toml"

    @property
    def lock(self) -> Path:
        """Held by the running site."""
        return self.base / "lock"

    @property
    def status(self) -> Path:
        """What the running site says of itself."""
        return self.base / "status.json"

    @property
    def queue(self) -> Path:
        """The jobs."""
        return self.base / "queue.sqlite"

    @property
    def registry(self) -> Path:
        """Whom the key managers know."""
        return self.base / "keys.sqlite"

    @property
    def revoked(self) -> Path:
        """Who is shut out."""
        return self.base / "revoked.txt"

    @property
    def legacy(self) -> Path:
        """Accounts of original agents."""
        return self.base / "legacy.toml"

    @property
    def redis(self) -> Path:
        """Data of the site's own Redis, if it has one."""
        return self.base / "redis"

    @property
    def redis_socket(self) -> Path:
        """Where that serves."""
        return self.run / "redis.sock"

    @property
    def redis_config(self) -> Path:
        """Its configuration."""
        return self.run / "redis.conf"

    @property
    def pilots(self) -> Path:
        """Where tokens of outside services come from; the operator's own file."""
        return self.base / "pilots.toml"

    @property
    def chirp_root(self) -> Path:
        """Root of the file server."""
        return self.base / "chirp"

    @property
    def inputs(self) -> Path:
        """Input as the HTTPS server shows it."""
        return self.base / "input"

    @property
    def storage(self) -> Path:
        """The storage manager's folder."""
        return self.base / "storage"

    @property
    def results(self) -> Path:
        """Accepted results, one folder per job."""
        return self.storage / "results"

    @property
    def catalogue(self) -> Path:
        """The appliance as a signed catalogue."""
        return self.base / "catalogue"

    @property
    def tls(self) -> Path:
        """Keys and certificates."""
        return self.base / "tls"

    @property
    def run(self) -> Path:
        """Configurations of the children."""
        return self.base / "run"

    @property
    def logs(self) -> Path:
        """Logs of the children."""
        return self.base / "log"

    def config(self, child: str) -> Path:
        """The configuration of a child."""
        return self.run / f"{child}.toml"

    def ready(self, child: str) -> Path:
        """Exists while a manager has its session."""
        return self.run / f"{child}.ready"

    def log(self, child: str) -> Path:
        """The log of a child."""
        return self.logs / f"{child}.log"

    def make(self) -> None:
        """Make the folders; private to the user but for the file server's root, which another user may serve."""
        self.base.mkdir(parents=True, exist_ok=True)
        for folder in (self.inputs, self.storage, self.tls, self.run, self.logs):
            folder.mkdir(exist_ok=True, mode=0o700)
        self.chirp_root.mkdir(exist_ok=True, mode=0o755)
