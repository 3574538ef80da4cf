"""Checks the secrets of Standard Webhooks as a setting, and makes keys of them."""

import base64
from typing import Annotated, Final

from pydantic import AfterValidator, SecretStr

from schemas.wire.webhook_signature import WHSEC, SigningKeys, secrets_in

MEANING: Final = (
    "Signs what the gateway reports (Standard Webhooks): `whsec_` and base64 of 24 to 64 bytes. Up to four, parted by blanks: "
    "the gateway signs with each, the webhook believes any."
)


def _demand_secrets(setting: SecretStr) -> SecretStr:
    secrets_in(setting.get_secret_value())
    return setting


SigningSecrets = Annotated[SecretStr, AfterValidator(_demand_secrets)]


def signing_secret_of(digits: SecretStr) -> SecretStr:
    """Returns a key that is given in hexadecimal digits as a secret of Standard Webhooks."""
    return SecretStr(WHSEC + base64.b64encode(bytes.fromhex(digits.get_secret_value())).decode())


def signing_secrets(setting: SecretStr) -> tuple[str, ...]:
    """Returns what to sign with: one secret, or several while one is changed for another."""
    return secrets_in(setting.get_secret_value())


def signing_keys(setting: SecretStr) -> SigningKeys:
    """Returns what to verify with."""
    return SigningKeys(signing_secrets(setting))
