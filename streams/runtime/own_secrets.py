"""Demands of each program the secrets that it uses, and no others: outside development they must be the deployment's own."""

from collections.abc import Mapping
from typing import Final

from streams.runtime.settings import Settings, SettingsError, variable_of

_BACKUPS: Final = ("backup", "restore")

NEEDED_BY: Final[Mapping[str, tuple[str, ...]]] = {
    "pepper": ("worker", "webhook", "audit", "dead-letters redrive", "explain", *_BACKUPS),
    "address_keys": ("worker", "webhook", "gateway", *_BACKUPS),
    "ref_secret": ("worker", "webhook"),
    "webhook_secret": ("webhook", "gateway"),
    "seal_keys": ("gateway",),
}
"""By field of ``Settings``, the commands that use it; ``explain`` only to find a person by an address."""


def with_own_secrets(command: str, settings: Settings) -> Settings:
    """Returns ``settings`` if all secrets that ``command`` uses are the deployment's own; raises ``SettingsError`` else."""
    left = weak_secrets(command, settings)
    if left and not settings.dev:
        names = ", ".join(map(variable_of, left))
        raise SettingsError(f"FANFARE_DEV is off but these still have development values: {names}")
    return settings


def weak_secrets(command: str, settings: Settings) -> tuple[str, ...]:
    """Returns the secrets that ``command`` uses and anybody can compute."""
    return tuple(name for name in settings.dev_secrets if command in NEEDED_BY[name])
