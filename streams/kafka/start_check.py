"""Before a process writes: would this Kafka lose what it acknowledges? A Kafka that would is refused, with the mending commands.

Outside development everything of ``topic_check`` is a reason to refuse. In development what only may lose records is said in
one line of log, and what can never work is refused there too. In a secured Kafka a process is refused, too, that lacks a
grant of its role, before it opens anything. Who looks must not make a recovery longer than it is: a broker
that is down is no objection, and nothing is waited for but the answers.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from aiokafka.errors import KafkaError

from schemas.topics import catalogue
from streams.kafka.acls import missing
from streams.kafka.grants import Grant, Operation, grants
from streams.kafka.provision import ProvisionError, verify
from streams.kafka.way_in import may_not, refusal
from streams.runtime.events import Event
from streams.runtime.exits import Exit, fatal
from streams.runtime.kafka_access import Kafka
from streams.runtime.log import log
from streams.runtime.settings import Settings

_AGAIN_S: Final = 0.25
_GRANTS_S: Final = 2.0
"""An answer about grants comes in milliseconds, or not from this broker."""
_NOBODY: Final = "nobody"
"""Asked for where a grant is on the topics of all businesses: of a topic that is not there, a broker tells only whether it
may be described, and whoever may write it may."""
_DOING: Final = {Operation.READ: "read", Operation.WRITE: "write"}
_TOLD: Final = 6
"""So many objections fit on a screen; a Kafka of one broker has two for each topic."""


async def safe(settings: Settings, *, say: Callable[[str], None]) -> str:
    """Look once; gives the Kafka's id.

    Raises ProvisionError with a line for each objection, and a KafkaError when Kafka does not answer.
    """
    return await verify(
        settings.kafka,
        catalogue(time_scale=settings.time_scale),
        shards=settings.shards,
        dev=settings.dev,
        session_ms=settings.session_timeout_ms,
        say=say,
    )


async def demand_safe(settings: Settings, role: str) -> str:
    """The id of a Kafka that was found safe, and grants what ``role`` (one of ``grants.users``) needs.

    Raises ProvisionError, shortened. Asks until Kafka answers. What the Kafka library logs meanwhile is dropped: what stands in
    the way is told in a sentence.
    """
    with _library_silent():
        return await _demanded(settings, role)


@contextlib.contextmanager
def _library_silent() -> Iterator[None]:
    library = logging.getLogger("aiokafka")
    level = library.level
    library.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        library.setLevel(level)


async def _demanded(settings: Settings, role: str) -> str:
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
    await _demand_grants(settings.kafka, role)
    return cluster


async def _demand_grants(kafka: Kafka, role: str) -> None:
    """Raises ProvisionError with a sentence for each operation that is not granted. No answer in time is no objection."""
    if kafka.security_protocol == "PLAINTEXT":
        return
    wanted = [one for one in grants(kafka, ()) if one.user == role]
    try:
        async with asyncio.timeout(_GRANTS_S):
            lacking = await missing(kafka, wanted, businesses=(_NOBODY,))
    except (OSError, KafkaError, TimeoutError, asyncio.IncompleteReadError):
        return
    if lacking:
        raise ProvisionError(_short("\n".join(not_granted(kafka, lacking))))


def not_granted(kafka: Kafka, lacking: Sequence[Grant]) -> Iterator[str]:
    """Yields a sentence for each operation: on which topics and groups, or that on the cluster, this user may not do it."""
    names: dict[Operation, list[str]] = {}
    for one in lacking:
        names.setdefault(one.operation, []).append(one.thing.removesuffix(_NOBODY))
    for operation, found in names.items():
        first, *others = found
        more = f" and {len(others)} more" if len(others) > _TOLD else "".join(f", {name}" for name in others)
        yield may_not(kafka, f"{_DOING.get(operation, operation.word)} {first}{more}")


def _short(sentences: str) -> str:
    """The first few of them, and where the others are told."""
    lines = sentences.splitlines()
    more = [f"{len(lines) - _TOLD} more; `fanfare doctor` tells all of them."] if len(lines) > _TOLD else []
    return "\n".join([*lines[:_TOLD], *more])


async def safe_or_exit(settings: Settings, role: str) -> None:
    """:func:`demand_safe` for a process that ends itself by :class:`Exit`."""
    try:
        await demand_safe(settings, role)
    except ProvisionError as refused:
        fatal(Exit.REFUSED_START, detail=str(refused))
