"""Which promises a run has switched off, read from the settings and options that it really runs with.

Every benchmark and every fault run says so in its last line, and no figure of the pages comes from a run that says any.
"""

from collections.abc import Sequence

from streams.runtime.settings import Settings

NO_LIMITS = "--no-limits"


def switched_off(settings: Settings, gateway_options: Sequence[str]) -> list[str]:
    """Returns what these processes do not keep, in words; empty if they keep everything."""
    found = []
    if not settings.limits:
        found.append("limits at the broker")
    if not settings.limits or NO_LIMITS in gateway_options:
        found.append("limits at the gateway")
    if settings.accept_trimmed:
        found.append("journals that are whole")
    return found
