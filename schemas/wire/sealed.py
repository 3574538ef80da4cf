"""Sealed values: addresses at rest and one-time codes end to end.

An *address* is sealed under Fanfare's own key with AES-SIV (RFC 5297): deterministic, so that plan stays a pure function
of its input, and fixed in width, so that addresses form columns. A *code* is sealed by the producer to the gateway's key
with HPKE base mode (RFC 9180; X25519, HKDF-SHA256, ChaCha20-Poly1305); ``info`` binds it to request, person, template and
slot, so that a blob moved elsewhere does not open (PROTOCOL.md section 6).
"""

import base64
import binascii

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from schemas.plan_journal import ADDRESS_WIDTH

_ADDRESS_CHARS = 16
_SCHEME = "tel:"
_SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)


class SealError(ValueError):
    """A sealed value that does not open: wrong key, wrong context, or broken."""


class AddressBook:
    """Seals and opens addresses under the keys that it holds. ``keys`` maps key id (0 to 255) to 32 bytes; the last one seals."""

    __slots__ = ("_kid", "_siv")

    def __init__(self, keys: dict[int, bytes]) -> None:
        self._siv = {kid: AESSIV(key) for kid, key in keys.items()}
        self._kid = max(keys)

    def seal(self, address: str) -> bytes:
        """33 bytes for ``tel:+…``; ``ValueError`` if it is longer than E.164 allows."""
        plain = address.removeprefix(_SCHEME).encode()
        if len(plain) > _ADDRESS_CHARS or not address.startswith(_SCHEME):
            raise ValueError("not an E.164 address with the scheme tel:")
        head = bytes((self._kid,))
        return head + self._siv[self._kid].encrypt(plain.ljust(_ADDRESS_CHARS, b"\0"), [head])

    def open(self, sealed: bytes) -> str:
        """The address behind 33 bytes; raises :class:`SealError`."""
        if len(sealed) != ADDRESS_WIDTH or sealed[0] not in self._siv:
            raise SealError("not an address that was sealed under a key of ours")
        try:
            plain = self._siv[sealed[0]].decrypt(sealed[1:], [sealed[:1]])
        except InvalidTag as error:
            raise SealError("the address does not open") from error
        return _SCHEME + plain.rstrip(b"\0").decode()


def info_of(request: bytes, address: str, template: str, parameter: str) -> bytes:
    """Returns what a code is bound to, as HPKE's ``info``: it opens for this request, person, template and parameter only."""
    return b"\0".join((b"fanfare-otp-1", request, address.encode(), template.encode(), parameter.encode()))


def seal_code(
    code: str, key_of: tuple[str, bytes], *, request: bytes, address: str, template: str, parameter: str
) -> str:
    """``<kid>.<base64url>`` of ``code`` for the holder of ``key_of`` (its id; X25519, 32 bytes), bound to its place."""
    kid, public = key_of
    key = X25519PublicKey.from_public_bytes(public)
    blob = _SUITE.encrypt(code.encode(), key, info=info_of(request, address, template, parameter))
    return f"{kid}.{base64.urlsafe_b64encode(blob).decode().rstrip('=')}"


def open_code(
    sealed: str, private: dict[str, bytes], *, request: bytes, address: str, template: str, parameter: str
) -> str:
    """The code inside; ``private`` maps kid to 32 bytes. Raises :class:`SealError`."""
    kid, _, text = sealed.partition(".")
    if kid not in private:
        raise SealError("sealed to a key that is not here")
    try:
        blob = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        key = X25519PrivateKey.from_private_bytes(private[kid])
        return _SUITE.decrypt(blob, key, info=info_of(request, address, template, parameter)).decode()
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise SealError("the code does not open here") from error


def looks_sealed(sealed: str) -> bool:
    """Returns whether the text has the form of a sealed value; says nothing about what is inside."""
    kid, dot, text = sealed.partition(".")
    if not kid or not dot or len(text) < 64:
        return False
    try:
        base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return False
    return True
