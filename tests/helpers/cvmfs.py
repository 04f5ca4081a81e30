"""A small repository in CVMFS's own format, a web server for it, and a reader that believes nothing unchecked.

Source of the format: CVMFS's own description of its repositories ("Backend", "Security") and what its servers publish.
"""

import contextlib
import hashlib
import http.client
import http.server
import os
import sqlite3
import tempfile
import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import NameOID

NAME = "test.example.org"
DIRECTORY, NESTED_MOUNT, FILE, LINK, NESTED_ROOT, CHUNKED = 1, 2, 4, 8, 32, 64
_TABLES = """
CREATE TABLE catalog (md5path_1 INTEGER, md5path_2 INTEGER, parent_1 INTEGER, parent_2 INTEGER, hardlinks INTEGER,
  hash BLOB, size INTEGER, mode INTEGER, mtime INTEGER, flags INTEGER, name TEXT, symlink TEXT, uid INTEGER,
  gid INTEGER, xattr BLOB, CONSTRAINT pk_catalog PRIMARY KEY (md5path_1, md5path_2));
CREATE INDEX idx_catalog_parent ON catalog (parent_1, parent_2);
CREATE TABLE chunks (md5path_1 INTEGER, md5path_2 INTEGER, offset INTEGER, size INTEGER, hash BLOB,
  CONSTRAINT pk_chunks PRIMARY KEY (md5path_1, md5path_2, offset, size));
CREATE TABLE nested_catalogs (path TEXT, sha1 TEXT, size INTEGER, CONSTRAINT pk_nested_catalogs PRIMARY KEY (path));
CREATE TABLE properties (key TEXT, value TEXT, CONSTRAINT pk_properties PRIMARY KEY (key));
CREATE TABLE statistics (counter TEXT, value INTEGER, CONSTRAINT pk_statistics PRIMARY KEY (counter));
"""


def path_key(path: str) -> tuple[int, int]:
    """The two halves of a path's MD5 as signed numbers; the root's path is empty."""
    digest = hashlib.md5(path.encode()).digest()
    first, second = (int.from_bytes(half, "little", signed=True) for half in (digest[:8], digest[8:]))
    return first, second


class Repository:
    """Writes a repository into `<folder>/cvmfs/<name>`, as a web server shows it."""

    def __init__(self, folder: Path, name: str = NAME) -> None:
        self.name = name
        self.top = folder / "cvmfs" / name
        self.master = rsa.generate_private_key(65537, 2048)
        self._key = rsa.generate_private_key(65537, 2048)
        self.contents: dict[str, bytes] = {}
        self._chunked: set[str] = set()
        self._nested: set[str] = set()

    def add(self, path: str, data: bytes, *, chunked: bool = False) -> None:
        self.contents[path] = data
        if chunked:
            self._chunked.add(path)

    def nest(self, path: str) -> None:
        """Let a directory begin a catalogue of its own."""
        self._nested.add(path)

    def put(self, data: bytes, suffix: str = "", *, packed: bool = True) -> str:
        """Store an object; returns its hash."""
        stored = zlib.compress(data) if packed else data
        digest = hashlib.sha1(stored).hexdigest()
        place = self.top / "data" / digest[:2] / f"{digest[2:]}{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(stored)
        return digest

    def publish(self, revision: int = 1) -> None:
        """Write catalogues, certificate, manifest and whitelist."""
        root, size = self._catalog("")
        certificate = self._certificate()
        now = datetime.now(UTC)
        lines = [
            f"C{root}",
            f"B{size}",
            f"R{hashlib.md5(b'').hexdigest()}",
            "D240",
            f"S{revision}",
            "Gno",
            "Ano",
            f"N{self.name}",
            f"X{self.put(certificate, 'X')}",
            f"T{int(now.timestamp())}",
        ]
        body = "".join(f"{line}\n" for line in lines).encode()
        digest = hashlib.sha1(body).hexdigest().encode()
        signature = self._key.sign(digest, padding.PKCS1v15(), hashes.SHA1())
        (self.top / ".cvmfspublished").write_bytes(body + b"--\n" + digest + b"\n" + signature)
        self._whitelist(certificate, now)

    def _whitelist(self, certificate: bytes, now: datetime) -> None:
        print_of = x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA1()).hex(":").upper()
        times = f"{now:%Y%m%d%H%M%S}\nE{now + timedelta(days=30):%Y%m%d%H%M%S}\n"
        body = f"{times}N{self.name}\n{print_of}\n".encode()
        digest = hashlib.sha1(body).hexdigest().encode()
        (self.top / ".cvmfswhitelist").write_bytes(body + b"--\n" + digest + b"\n" + sign_raw(self.master, digest))

    def _certificate(self) -> bytes:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(subject, subject, self._key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now).not_valid_after(now + timedelta(days=365))
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def _catalog(self, top: str) -> tuple[str, int]:
        """Write the catalogue of a directory; returns its hash and unpacked size."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "catalog"
            with contextlib.closing(sqlite3.connect(path)) as db:
                db.executescript(_TABLES)
                facts: dict[str, object] = {"revision": 1, "schema": 2.5, "schema_revision": 7, "TTL": 240}
                if top:
                    facts["root_prefix"] = top
                db.executemany(
                    "INSERT INTO properties VALUES (?, ?)", [(key, str(value)) for key, value in facts.items()]
                )
                self._list(db, top, top)
                db.commit()
            data = path.read_bytes()
        return self.put(data, "C"), len(data)

    def _list(self, db: sqlite3.Connection, top: str, folder: str) -> None:
        is_root = folder == top and folder in self._nested
        self._row(db, folder, DIRECTORY | (NESTED_ROOT if is_root else 0), None, 4096)
        below = sorted(path for path in self.contents if path.startswith(f"{folder}/"))
        for name in dict.fromkeys(path[len(folder) + 1 :].split("/")[0] for path in below):
            path = f"{folder}/{name}"
            if path in self.contents:
                self._file(db, path)
            elif path in self._nested:
                self._row(db, path, DIRECTORY | NESTED_MOUNT, None, 4096)
                db.execute("INSERT INTO nested_catalogs VALUES (?, ?, ?)", (path, *self._catalog(path)))
            else:
                self._list(db, top, path)

    def _file(self, db: sqlite3.Connection, path: str) -> None:
        data = self.contents[path]
        if path not in self._chunked:
            self._row(db, path, FILE, bytes.fromhex(self.put(data)), len(data))
            return
        self._row(db, path, FILE | CHUNKED, None, len(data))
        for offset in range(0, len(data), 65536):
            piece = data[offset : offset + 65536]
            digest = bytes.fromhex(self.put(piece, "P"))
            db.execute("INSERT INTO chunks VALUES (?, ?, ?, ?, ?)", (*path_key(path), offset, len(piece), digest))

    def _row(self, db: sqlite3.Connection, path: str, flags: int, digest: bytes | None, size: int) -> None:
        parent = path_key(path.rpartition("/")[0]) if path else (0, 0)
        mode = 0o40755 if flags & DIRECTORY else 0o100644
        row = (*path_key(path), *parent, 1, digest, size, mode, 0, flags, path.rpartition("/")[2], "", 0, 0, None)
        db.execute(f"INSERT INTO catalog VALUES ({','.join('?' * len(row))})", row)


def sign_raw(key: rsa.RSAPrivateKey, data: bytes) -> bytes:
    """PKCS#1 type 1 padding without a name of the hash, as a whitelist is signed."""
    size = key.key_size // 8
    padded = b"\0\1" + b"\xff" * (size - 3 - len(data)) + b"\0" + data
    numbers = key.private_numbers()
    return pow(int.from_bytes(padded), numbers.d, numbers.public_numbers.n).to_bytes(size)


def fill(repository: Repository, seed: int = 7) -> None:
    """Software as it is: small text, a library that packs badly, a long file in chunks, a nested catalogue."""
    noise = hashlib.shake_256(str(seed).encode())
    repository.add("/README", b"A small repository.\n" * 40)
    repository.add("/empty", b"")
    for number in range(12):
        repository.add(f"/v1/lib/part{number}.so", noise.digest(20_000 + 977 * number)[977 * number :])
        repository.add(f"/v1/share/table{number}.txt", f"{number} of many\n".encode() * 900)
    repository.add("/v1/data/long.bin", noise.digest(400_000), chunked=True)
    repository.nest("/v1/share")
    repository.publish()


Fault = Callable[["FileHandler"], None]


@dataclass
class FileServer:
    """A web server for a folder, that counts, and misbehaves where it is told to.

    Attributes:
        asked: how often each path was asked for.
        sent_bytes: all that went out, heads included.
        faults: path -> what to do instead of an answer.
    """

    port: int
    asked: Counter[str] = field(default_factory=Counter)
    sent_bytes: int = 0
    faults: dict[str, Fault] = field(default_factory=dict)
    heads: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"


class FileHandler(http.server.SimpleHTTPRequestHandler):
    """Counts what it sends."""

    protocol_version = "HTTP/1.1"
    timeout = 20
    disable_nagle_algorithm = True
    counts: FileServer

    def setup(self) -> None:
        super().setup()
        plain, counts = self.wfile.write, self.counts

        def write(data: Any) -> int:
            counts.sent_bytes += len(data)
            return plain(data)

        self.wfile.write = write  # type: ignore[method-assign]

    def do_GET(self) -> None:
        self.counts.asked[self.path] += 1
        self.counts.heads.append((self.path, dict(self.headers.items())))
        fault = self.counts.faults.get(self.path)
        if fault is None:
            super().do_GET()
        else:
            fault(self)

    def do_HEAD(self) -> None:
        self.counts.asked[f"HEAD {self.path}"] += 1
        super().do_HEAD()

    def log_message(self, format: str, *args: Any) -> None:
        """Not on the terminal."""

    def answer(self, body: bytes, *, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no news."""


@contextlib.contextmanager
def serve_files(folder: Path, port: int = 0) -> Iterator[FileServer]:
    """A `FileServer` for a folder; gone at the end."""
    counts = FileServer(port)
    handler = type("Handler", (FileHandler,), {"counts": counts})
    with _Server(("127.0.0.1", port), lambda *words: handler(*words, directory=os.fspath(folder))) as server:
        counts.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield counts
        finally:
            server.shutdown()
            thread.join(10)


class Damaged(Exception):
    """What came is not what was signed."""


class Reader:
    """Reads a whole repository as a client of CVMFS does: from the master key down, each step checked."""

    def __init__(self, server: str, name: str, master: rsa.RSAPublicKey, proxy_port: int = 0) -> None:
        self.received_bytes = 0
        self._server = server
        self._name = name
        self._master = master
        self._proxy_port = proxy_port
        self._connection: http.client.HTTPConnection | None = None

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Status and body of a file below the repository, by the proxy if there is one."""
        url = f"{self._server}/cvmfs/{self._name}/{path}"
        port = self._proxy_port or int(self._server.rpartition(":")[2])
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        target = url if self._proxy_port else f"/cvmfs/{self._name}/{path}"
        try:
            self._connection.request("GET", target, headers=headers)
            response = self._connection.getresponse()
            body = response.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        self.received_bytes += len(body)
        return response.status, body

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def read_all(self) -> dict[str, bytes]:
        """Every file of the repository; raises Damaged."""
        whitelist, signature = self._signed(".cvmfswhitelist")
        self._check_raw(whitelist, signature)
        facts = whitelist.decode().splitlines()
        if f"N{self._name}" not in facts or facts[1][1:] < f"{datetime.now(UTC):%Y%m%d%H%M%S}":
            raise Damaged("whitelist")
        manifest, signature = self._signed(".cvmfspublished")
        said = {line[0]: line[1:] for line in manifest.decode().splitlines()}
        pem = self._object(said["X"], "X")
        certificate = x509.load_pem_x509_certificate(pem)
        if certificate.fingerprint(hashes.SHA1()).hex(":").upper() not in facts:
            raise Damaged("certificate")
        key = certificate.public_key()
        assert isinstance(key, rsa.RSAPublicKey)
        key.verify(signature, hashlib.sha1(manifest).hexdigest().encode(), padding.PKCS1v15(), hashes.SHA1())
        found: dict[str, bytes] = {}
        self._walk(said["C"], found)
        return found

    def _signed(self, path: str) -> tuple[bytes, bytes]:
        status, body = self.get(path)
        if status != 200:
            raise Damaged(f"{path}: status {status}")
        text, _, rest = body.partition(b"--\n")
        digest, _, signature = rest.partition(b"\n")
        if hashlib.sha1(text).hexdigest().encode() != digest:
            raise Damaged(path)
        return text, signature

    def _check_raw(self, text: bytes, signature: bytes) -> None:
        numbers = self._master.public_numbers()
        size = self._master.key_size // 8
        opened = pow(int.from_bytes(signature), numbers.e, numbers.n).to_bytes(size)
        if opened.rpartition(b"\xff\0")[2] != hashlib.sha1(text).hexdigest().encode():
            raise Damaged("whitelist")

    def _object(self, digest: str, suffix: str = "") -> bytes:
        status, body = self.get(f"data/{digest[:2]}/{digest[2:]}{suffix}")
        if status != 200:
            raise Damaged(f"{digest}: status {status}")
        if hashlib.sha1(body).hexdigest() != digest:
            raise Damaged(digest)
        return zlib.decompress(body)

    def _walk(self, digest: str, found: dict[str, bytes]) -> None:
        with contextlib.closing(sqlite3.connect(":memory:")) as db:
            db.deserialize(self._object(digest, "C"))
            prefix = db.execute("SELECT value FROM properties WHERE key = 'root_prefix'").fetchone()
            pending = [prefix[0] if prefix else ""]
            while pending:
                folder = pending.pop()
                rows = db.execute(
                    "SELECT name, flags, hash, size FROM catalog WHERE parent_1 = ? AND parent_2 = ? AND name != ''",
                    path_key(folder),
                ).fetchall()
                for name, flags, blob, size in rows:
                    path = f"{folder}/{name}"
                    if flags & NESTED_MOUNT:
                        continue
                    if flags & DIRECTORY:
                        pending.append(path)
                    else:
                        found[path] = self._file(db, path, flags, blob)
                        if len(found[path]) != size:
                            raise Damaged(path)
            for (nested,) in db.execute("SELECT sha1 FROM nested_catalogs").fetchall():
                self._walk(nested, found)

    def _file(self, db: sqlite3.Connection, path: str, flags: int, blob: bytes | None) -> bytes:
        if not flags & CHUNKED:
            assert blob is not None
            return self._object(blob.hex())
        chunks = "SELECT hash FROM chunks WHERE md5path_1 = ? AND md5path_2 = ? ORDER BY offset"
        return b"".join(self._object(row[0].hex(), "P") for row in db.execute(chunks, path_key(path)).fetchall())
