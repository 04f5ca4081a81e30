"""The site's own certificate authority and the certificate of its servers: XMPP and HTTPS."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from client.paths import write_atomic

_AUTHORITY_DAYS: Final = 3650
_SERVER_DAYS: Final = 825
_RENEWED_BEFORE: Final = timedelta(days=60)
#: Clocks of volunteers' computers may be late.
_LATE_CLOCKS: Final = timedelta(days=2)

_Key = ec.EllipticCurvePrivateKey


class Certificates:
    """Files of one folder: ca.pem, ca.key, server.pem, server.key."""

    def __init__(self, folder: Path) -> None:
        self.authority = folder / "ca.pem"
        self._authority_key = folder / "ca.key"
        self.server = folder / "server.pem"
        self.server_key = folder / "server.key"

    def make(self, domain: str, address: str = "", now: datetime | None = None) -> None:
        """Make what is missing or soon out of date. Blocks. Idempotent.

        Args:
            address: IP address by which the servers may be called, too.

        Raises:
            OSError: the disk fails.
            ValueError: a file there is damaged.
        """
        now = now or datetime.now(UTC)
        if not (self.authority.exists() and self._authority_key.exists()):
            self._make_authority(now)
            self.server.unlink(missing_ok=True)
        if not self._server_is_good(domain, address, now):
            self._make_server(domain, address, now)

    def _make_authority(self, now: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = _name("Volunteer Cloud site")
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        certificate = (
            _builder(name, name, key, now, _AUTHORITY_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .sign(key, hashes.SHA256())
        )
        _write_key(self._authority_key, key)
        write_atomic(self.authority, certificate.public_bytes(serialization.Encoding.PEM), 0o644)

    def _server_is_good(self, domain: str, address: str, now: datetime) -> bool:
        if not (self.server.exists() and self.server_key.exists()):
            return False
        certificate = x509.load_pem_x509_certificate(self.server.read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        is_named = domain in names.get_values_for_type(x509.DNSName)
        if address:
            is_named = is_named and ip_address(address) in names.get_values_for_type(x509.IPAddress)
        return is_named and certificate.not_valid_after_utc - now > _RENEWED_BEFORE

    def _make_server(self, domain: str, address: str, now: datetime) -> None:
        authority = x509.load_pem_x509_certificate(self.authority.read_bytes())
        authority_key = serialization.load_pem_private_key(self._authority_key.read_bytes(), None)
        assert isinstance(authority_key, _Key)
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [x509.DNSName(domain)]
        if address:
            names.append(x509.IPAddress(ip_address(address)))
        from_authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key())
        certificate = (
            _builder(_name(domain), authority.subject, key, now, _SERVER_DAYS)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(from_authority, critical=False)
            .sign(authority_key, hashes.SHA256())
        )
        _write_key(self.server_key, key)
        write_atomic(self.server, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _builder(subject: x509.Name, issuer: x509.Name, key: _Key, now: datetime, days: int) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LATE_CLOCKS)
        .not_valid_after(now + timedelta(days=days))
    )


def _write_key(path: Path, key: _Key) -> None:
    form = serialization.PrivateFormat.PKCS8
    write_atomic(path, key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
