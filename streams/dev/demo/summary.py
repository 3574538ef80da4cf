"""Sums up the demonstration: counts, latencies, charges, phones and the auditor's verdict, as lines and as figures."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import aiohttp

from broker.audit.report import Audit
from schemas.gateway_api import GatewayEvent
from schemas.ids import name_of
from schemas.lanes import Lane
from streams.runtime.settings import Settings
from streams.simulator.event_log import FILE_NAME, read
from streams.simulator.program import log_folder

MICRO: Final = 1_000_000


def first_hand_off_ms(settings: Settings) -> int | None:
    """When the gateway accepted the first message that is not a heartbeat."""
    firsts = [event.at_ms for lane in Lane for event in _accepted(settings, lane)]
    return min(firsts, default=None)


def code_ages_ms(settings: Settings, sent_ms: Mapping[bytes, int]) -> list[int]:
    """From publishing a one-time code until the gateway accepted it, ascending."""
    handed = ((name_of(event.request), event.at_ms) for event in _accepted(settings, Lane.OTP))
    return sorted(at_ms - sent_ms[name] for name, at_ms in handed if name in sent_ms)


def _accepted(settings: Settings, lane: Lane) -> Iterator[GatewayEvent]:
    path = log_folder(settings.data_dir, lane) / FILE_NAME
    if path.exists():
        yield from (event for event in read(path, GatewayEvent) if event.event == "accepted" and not event.test)


async def phones(settings: Settings) -> list[str]:
    """Some messages as phones show them: badge, sender, text; digits of a code are hidden."""
    lines: list[str] = []
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
        updates = await _newest(session, settings.gateway_url(Lane.UPDATE))
        codes = await _newest(session, settings.gateway_url(Lane.OTP))
    seen: set[str] = set()
    for shown in updates:
        key = f"{shown['business'].split('-')[0]}/{shown['language']}"
        if key not in seen and len(lines) < 4:
            seen.add(key)
            lines.append(_phone(shown, str(shown["text"])))
    lines += [_phone(shown, "••••••" + str(shown["text"])[6:]) for shown in codes[:1]]
    return lines


async def _newest(session: aiohttp.ClientSession, url: str) -> list[dict[str, Any]]:
    async with session.get(f"{url}/v1/phones", params={"limit": "200"}) as answer:
        body = await answer.json()
    messages = body["messages"] if isinstance(body, dict) else body
    return [shown for shown in messages if not shown["test"]]


def _phone(shown: Mapping[str, Any], text: str) -> str:
    badge = "✓" if shown["verified"] else " "
    return f"  {shown['phone']:<18} {badge} {shown['name']}: {text}"


def verdict(audit: Audit) -> str:
    """The auditor's word in one line."""
    if audit.total:
        return f"auditor: {audit.total:,} VIOLATIONS"
    return (
        f"auditor: every account closes ({audit.accepted:,} messages accepted, {audit.terminal:,} ended, "
        f"{audit.open:,} open within their window, {audit.charged:,} charged), no violation"
    )


def lanes(audit: Audit) -> Iterator[str]:
    """Messages by lane and state."""
    for lane, states in audit.states.items():
        told = ", ".join(f"{count:,} {state}" for state, count in sorted(states.items(), key=lambda one: -one[1]))
        yield f"  {lane:<9} {told or 'none'}"


def charges(audit: Audit) -> Iterator[str]:
    """The largest bills, and the sum of each currency."""
    sums: dict[str, int] = {}
    for account, micro in audit.charged_micro.items():
        currency = account.rpartition(" ")[2]
        sums[currency] = sums.get(currency, 0) + micro
    largest = sorted(audit.charged_micro.items(), key=lambda one: -one[1])[:4]
    yield from (f"  {account:<24} {micro / MICRO:>12,.4f}" for account, micro in largest)
    yield from (f"  {'all ' + currency:<24} {micro / MICRO:>12,.4f}" for currency, micro in sums.items())
