"""The settings that there are one of for each lane, made from the lanes' rows: a part of ``Settings``."""

from typing import Final, TypeVar

from pydantic import Field, create_model
from pydantic_settings import BaseSettings

from schemas.lanes import Lane
from streams.runtime.kafka_settings import KafkaSettings

_Model = TypeVar("_Model", bound=BaseSettings)

_FIRST_PORT: Final = 8810
"""Of the simulated gateway's listeners on loopback."""


def _with_addresses(model: type[_Model]) -> type[_Model]:
    """Adds a field ``gateway_<lane>`` for each lane: a class statement cannot have as many fields as there are rows."""
    fields = {
        f"gateway_{lane.word}": (
            str,
            Field(
                f"http://127.0.0.1:{_FIRST_PORT + lane.rules.gateway_place}",
                description=f"Gateway address for {lane.rules.gateway_for}.",
            ),
        )
        for lane in Lane
    }
    return create_model(model.__name__, __base__=model, __module__=model.__module__, **fields)  # type: ignore[call-overload, no-any-return]


@_with_addresses
class GatewaySettings(KafkaSettings):
    """Where the gateway listens: an address for each lane."""

    def gateway_url(self, lane: Lane) -> str:
        """The gateway's listener for ``lane``."""
        return str(getattr(self, f"gateway_{lane.word}"))
