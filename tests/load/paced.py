"""A scenario as it goes: published, waited for, and told in figures. What :mod:`tests.load.pacing` and the benchmark share."""

import asyncio
import uuid
from collections.abc import Sequence
from typing import Final

from broker.audit.report import Audit
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.reasons import Reason, State
from schemas.request import Notification, Params, To
from streams.client import Client
from streams.client.events import Head, notification
from streams.dev.stack.stack import Stack
from streams.operate.scrape import processes, scrape_all
from streams.runtime import clock
from tests.load.crowd import write_list
from tests.load.scenarios import BUSINESS, Scenario

_CALM_S: Final = 3
_LOOK_S: Final = 2.0
_SLACK: Final = 4.0
"""After so many times the ideal, and a minute, a scenario is given up: what is left then is lost."""
_HOUR_MS: Final = 3_600_000
_FORBIDDEN: Final = (
    Reason.STOPPED,
    Reason.STOPPED_ALL,
    Reason.BLOCKED,
    Reason.NOT_OPTED_IN,
    Reason.RECIPIENT_OPTED_OUT,
    Reason.UNREACHABLE,
)
"""Ends that are nobody's fault: the person, or the platform about the person, forbade it."""
_TOLD: Final = (State.ACCEPTED.name.lower(), "delivered", "read", Reason.FAILED.word, Reason.UNKNOWN.word)


async def write_lists(stack: Stack, scenarios: Sequence[Scenario], *, first: int = 0) -> None:
    """Put people on the lists of all scenarios, from number ``first`` on; nobody is on two."""
    for scenario in scenarios:
        for number, ask in enumerate(scenario.asks):
            await write_list(stack.settings, BUSINESS, list_of(scenario, number), ask.people, first=first)
            first += ask.people


async def publish(stack: Stack, scenario: Scenario) -> dict[str, Lane]:
    """Publish what the scenario asks for; the names of the requests, and their lanes."""
    requests: dict[str, Lane] = {}
    async with Client(stack.bootstrap) as client:
        for number, ask in enumerate(scenario.asks):
            params: Params = {"offer": "Miles", "until": "Sunday"}
            if ask.lane is Lane.UPDATE:
                params = {"parcel": "PX-1", "event_time": "noon"}
            template = "parcel_delivered" if ask.lane is Lane.UPDATE else "offer"
            to = To(list=list_of(scenario, number))
            content = Notification(template, to, sender=scenario.sender.id, params=params)
            head = Head(source=f"//{BUSINESS}/pacing", id=uuid.uuid4().hex, lifetime_ms=_HOUR_MS)
            published = await client.publish(ask.lane, notification(head, content))
            requests[text_of(published.name)] = ask.lane
    return requests


async def until_through(stack: Stack, scenario: Scenario) -> None:
    """Until no worker has anything in hand for a while, or far beyond the time that it should take."""
    await asyncio.sleep(_CALM_S)
    await until_calm(stack, scenario.lanes, longest_s=scenario.ideal_s * _SLACK + 60)


async def until_calm(stack: Stack, lanes: Sequence[Lane], *, longest_s: float) -> None:
    """Until everybody is there and no worker of these lanes has anything in hand for a while, at most ``longest_s``."""
    ends_ms = clock.monotonic_ms() + int(longest_s * 1000)
    calm_s = 0.0
    while calm_s < _CALM_S and clock.monotonic_ms() < ends_ms:
        await asyncio.sleep(_LOOK_S)
        scrapes = await scrape_all(stack.settings, processes(stack.settings))
        waiting = sum(one.total("fanfare_stage_waiting", lane=lane.word) for one in scrapes for lane in lanes)
        away = any(one.ready != "ok" and not one.process.optional for one in scrapes)
        calm_s = 0.0 if waiting or away else calm_s + _LOOK_S


def list_of(scenario: Scenario, number: int) -> str:
    """The list that the ``number``-th request of a scenario goes to."""
    return f"{scenario.name}-{number}"


def figures_of(scenario: Scenario, after: Audit, before: Audit, *, seconds: float) -> dict[str, object]:
    """What came of it: the states of the messages that were not there before, and the busiest windows of its number."""

    def grown(states: Sequence[str]) -> int:
        return sum(after.in_state(state) - before.in_state(state) for state in states)

    forbidden = grown([reason.word for reason in _FORBIDDEN])
    in_doubt = grown([State.IN_DOUBT.name.lower()])
    figures: dict[str, object] = {
        "name": scenario.name,
        "people": scenario.people,
        "lost": scenario.people - grown(_TOLD) - forbidden - in_doubt,
        "forbidden": forbidden,
        "in_doubt": in_doubt,
        "seconds": seconds,
        "ideal_s": round(scenario.ideal_s, 2),
        "ratio": round(seconds / scenario.ideal_s, 3),
    }
    for one in after.busiest:
        if one.sender == scenario.sender.id:
            figures[f"{one.lane}_{one.seconds}s"] = {"worst": one.messages, "bound": one.bound}
    return figures | {"violations": after.total - before.total}
