"""Makes a development Kafka secure: certificates, users' passwords and files to join by, readable by its owner alone.

DIR/secure/ca.pem              who signed the brokers' certificate; clients check with it
DIR/secure/node.pem            key and certificate of the brokers
DIR/secure/passwords.json      user to password, made once: Kafka's storage is formatted with them
DIR/secure/NAME.password       one password, as FANFARE_KAFKA_PASSWORD_FILE takes it
DIR/secure/NAME.env            the settings by which NAME joins: `. NAME.env`
"""

import datetime as dt
import ipaddress
import secrets
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import SecretStr

from streams.kafka.grants import users
from streams.runtime import clock
from streams.runtime.file_lock import private_folder
from streams.runtime.kafka_access import Kafka
from streams.runtime.settings import variable_of

ADMIN: Final = "admin"
"""May do everything, and is for nobody's daily work."""
BROKER: Final = "broker"
NODE_NAME: Final = "fanfare-node"
MECHANISM: Final = "SCRAM-SHA-512"

_PASSWORDS: Final = "passwords.json"
_CA: Final = "ca.pem"
_VALID_DAYS: Final = 30
_RENEW_DAYS: Final = 2
"""A certificate with less than this left is made anew at the next start."""
_HOSTS: Final = ("127.0.0.1", "localhost")
_PASSWORD_BYTES: Final = 18


class Secured(msgspec.Struct, frozen=True):
    """Asks for a secured cluster: users for each process and for these businesses, grants under this prefix."""

    businesses: tuple[str, ...]
    prefix: str = ""


class Security:
    """The files of a secured cluster in ``folder``, made where they are missing."""

    def __init__(self, folder: Path, secured: Secured) -> None:
        self.folder = folder / "secure"
        self.secured = secured
        private_folder(self.folder)
        self._passwords = self._settled()
        if self._days_left() < _RENEW_DAYS:
            self._certify()

    @property
    def node_pem(self) -> Path:
        """The brokers' key and certificate."""
        return self.folder / "node.pem"

    @property
    def ca_pem(self) -> Path:
        """The certificate of who signed it."""
        return self.folder / _CA

    @property
    def scram(self) -> list[str]:
        """Options of Kafka's storage tool, which make the users."""
        return [
            word
            for name, password in self._passwords.items()
            for word in ("--add-scram", f"{MECHANISM}=[name={name},password={password}]")
        ]

    def password(self, user: str) -> str:
        """Returns the password of a user; ``KeyError`` if there is none."""
        return self._passwords[user]

    def kafka(self, bootstrap: str, user: str = ADMIN) -> Kafka:
        """Returns the way in of a user."""
        return _way_in(self.folder, bootstrap, user, self.password(user), self.secured.prefix)

    def write_ways_in(self, bootstrap: str) -> None:
        """Writes for each user the file that it joins by."""
        for user, password in self._passwords.items():
            place = self.folder / f"{user}.password"
            _write(place, f"{password}\n".encode())
            fields = {
                "bootstrap": bootstrap,
                "kafka_security_protocol": "SASL_SSL",
                "kafka_sasl_mechanism": MECHANISM,
                "kafka_ca_file": str(self.ca_pem),
                "kafka_user": user,
                "kafka_prefix": self.secured.prefix,
            }
            lines = [f"export {variable_of(name)}={shlex.quote(value)}\n" for name, value in fields.items()]
            lines.append(f"export {variable_of('kafka_password')}_FILE={shlex.quote(str(place))}\n")
            _write(self.folder / f"{user}.env", "".join(lines).encode())

    def _settled(self) -> dict[str, str]:
        path = self.folder / _PASSWORDS
        if path.exists():
            return _passwords_in(self.folder)
        names = [ADMIN, BROKER, *users(self.secured.businesses)]
        made = {name: secrets.token_hex(_PASSWORD_BYTES) for name in names}
        _write(path, msgspec.json.encode(made) + b"\n")
        return made

    def _days_left(self) -> float:
        if not (self.node_pem.exists() and self.ca_pem.exists()):
            return 0
        ends = x509.load_pem_x509_certificate(self.ca_pem.read_bytes()).not_valid_after_utc
        return (ends - _now()).total_seconds() / dt.timedelta(days=1).total_seconds()

    def _certify(self) -> None:
        ca_pem, node_pem = certificates(_now(), days=_VALID_DAYS)
        _write(self.node_pem, node_pem)
        _write(self.ca_pem, ca_pem)


def administrator(folder: Path, bootstrap: str) -> Kafka:
    """Returns the administrator's way into the secured cluster whose files lie in ``folder``."""
    return _way_in(folder, bootstrap, ADMIN, _passwords_in(folder)[ADMIN])


def _passwords_in(folder: Path) -> dict[str, str]:
    return msgspec.json.decode((folder / _PASSWORDS).read_bytes(), type=dict[str, str])


def _way_in(folder: Path, bootstrap: str, user: str, password: str, prefix: str = "") -> Kafka:
    return Kafka(
        bootstrap=bootstrap,
        security_protocol="SASL_SSL",
        sasl_mechanism=MECHANISM,
        user=user,
        password=SecretStr(password),
        ca_file=folder / _CA,
        prefix=prefix,
    )


MAY_SIGN: Final = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)
"""Python 3.13 takes no authority that does not say so, and no certificate that does not name its authority's key (RFC 5280)."""


def certificates(now: dt.datetime, *, days: float) -> tuple[bytes, bytes]:
    """Makes an authority and one certificate by it; returns the authority's, and key and certificate of the node, as PEM.

    The authority's key is thrown away: nothing else will ever be signed by it.
    """
    ca_key, node_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    ca_name, node_name = _name("Fanfare development authority"), _name(NODE_NAME)
    span = (now - dt.timedelta(hours=1), now + dt.timedelta(days=days))
    authority = (
        _certificate(ca_name, ca_name, ca_key.public_key(), span)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(MAY_SIGN, critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    hosts = [x509.IPAddress(ipaddress.ip_address(_HOSTS[0])), x509.DNSName(_HOSTS[1])]
    both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    node = (
        _certificate(node_name, ca_name, node_key.public_key(), span)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.ExtendedKeyUsage(both), critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    key = node_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    ca_pem = authority.public_bytes(Encoding.PEM)
    return ca_pem, key + node.public_bytes(Encoding.PEM) + ca_pem


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, span: Sequence[dt.datetime]
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(span[0])
        .not_valid_after(span[1])
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _now() -> dt.datetime:
    return dt.datetime.fromtimestamp(clock.now_ms() / 1000, dt.UTC)


def _write(path: Path, content: bytes) -> None:
    """Writes a file that its owner alone may read, from its first moment on."""
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(content)
