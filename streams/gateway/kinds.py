"""Lists the gateways that there are, by the scheme of their address: a new one is a module of its own and a row here."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

from schemas.lanes import Lane
from streams.gateway import frames
from streams.gateway.port import Gateway, Kind, ReportMapping
from streams.runtime.settings import Settings, SettingsError, variable_of

KINDS: Final[Mapping[str, Kind]] = {"http": frames.KIND, "https": frames.KIND}
"""Each lane may have another."""


def gateway_of(settings: Settings, lane: Lane) -> Gateway:
    """Returns the gateway of ``lane``, which connects when it is first used; raises ``SettingsError`` for an unknown one."""
    return _kind_of(settings, lane).client(settings, lane)


def mappings_of(settings: Settings) -> list[ReportMapping]:
    """Returns one mapping for each kind of gateway in use; raises ``SettingsError`` for an unknown one."""
    used = dict.fromkeys(_kind_of(settings, lane) for lane in Lane)
    return [kind.mapping(settings) for kind in used]


def _kind_of(settings: Settings, lane: Lane) -> Kind:
    scheme = urlsplit(settings.gateway_url(lane)).scheme
    if scheme not in KINDS:
        known = ", ".join(f"{each}://" for each in KINDS)
        raise SettingsError(
            f"{variable_of(f'gateway_{lane.word}')}: no gateway is reached by {scheme}://; there are {known}"
        )
    return KINDS[scheme]
