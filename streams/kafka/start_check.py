"""Before a process writes: would this Kafka lose what it acknowledges? A Kafka that would is refused, with the mending commands.

Outside development everything of ``topic_check`` is a reason to refuse. In development what only may lose records is said in
one line of log, and what can never work is refused there too. Who looks must not make a recovery longer than it is: a broker
that is down is no objection, and nothing is waited for but the answers.
"""

import asyncio
from collections.abc import Callable
from typing import Final

from aiokafka.errors import KafkaError

from schemas.topics import catalogue
from streams.kafka.provision import ProvisionError, verify
from streams.kafka.way_in import refusal
from streams.runtime.exits import Exit, fatal
from streams.runtime.log import Event, log
from streams.runtime.settings import Settings

_AGAIN_S: Final = 0.25
_TOLD: Final = 6
"""So many objections fit on a screen; a Kafka of one broker has two for each topic."""


async def safe(settings: Settings, *, say: Callable[[str], None]) -> str:
    """Look once; gives the Kafka's id.

    Raises ProvisionError with a line for each objection, and a KafkaError when Kafka does not answer.
    """
    return await verify(
        settings.kafka,
        catalogue(),
        shards=settings.shards,
        dev=settings.dev,
        session_ms=settings.session_timeout_ms,
        say=say,
    )


async def demand_safe(settings: Settings) -> str:
    """The id of a Kafka that was found safe; raises ProvisionError, shortened. Asks until Kafka answers."""
    weak: list[str] = []
    while True:
        try:
            cluster = await safe(settings, say=weak.append)
        except (KafkaError, TimeoutError):
            if (why := await refusal(settings.kafka, sure=True)) is not None:
                raise ProvisionError(why) from None
            await asyncio.sleep(_AGAIN_S)
            continue
        except ProvisionError as refused:
            raise ProvisionError(_short(str(refused))) from refused
        break
    if weak:
        log(Event.UNSAFE_TOPIC, objections=len(weak), first=weak[0])
    return cluster


def _short(sentences: str) -> str:
    """The first few of them, and where the others are told."""
    lines = sentences.splitlines()
    more = [f"{len(lines) - _TOLD} more; `fanfare doctor` tells all of them."] if len(lines) > _TOLD else []
    return "\n".join([*lines[:_TOLD], *more])


async def safe_or_exit(settings: Settings) -> None:
    """:func:`demand_safe` for a process that ends itself by :class:`Exit`."""
    try:
        await demand_safe(settings)
    except ProvisionError as refused:
        fatal(Exit.REFUSED_START, detail=str(refused))
