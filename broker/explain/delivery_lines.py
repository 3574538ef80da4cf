"""Tells what deliver's journal says of a request: taken over, frozen, decided, answered, restated.

Grouped, so that a million fit on a page.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import repeat

from pyroaring import BitMap

from broker.explain.line import Focus, Line, count_text, doubt_text, people_text, status_reason, status_text
from schemas.delivery_journal import Answered, Decided, Held, Members, Opened, OpenItem, Outcome, Restated
from schemas.gateway_api import Code
from schemas.ids import NAME_BYTES
from schemas.plan_journal import WorkItem
from schemas.reasons import State
from schemas.wire.columns import cells, of_i64s, of_u32s, ranks_of, values_of
from schemas.wire.header import Header
from schemas.wire.timestamps import text_of as instant

_Section = Members | Decided | Answered | Held


def outcome_lines(focus: Focus, header: Header, body: Outcome | Restated, place: str) -> Iterator[Line]:
    """Yields the lines that a valid record of ``outcomes.<lane>`` adds to the request's story."""
    if not focus.concerns(header.shard):
        return
    if isinstance(body, Restated):
        yield from _restated(focus, header, body, place)
        return
    for opened in body.opened:
        if opened.item.request == focus.request:
            yield Line(opened.taken_ms, "deliver", _opened(header, opened), place)
    sections: tuple[_Section, ...] = (*body.members, *body.decided, *body.answered, *body.held)
    for section in sections:
        if section.request == focus.request:
            yield from _section(focus, header, section, place)


def _section(focus: Focus, header: Header, section: _Section, place: str) -> Iterator[Line]:
    match section:
        case Members():
            yield Line(header.at_ms, "deliver", _members(header, section), place)
        case Decided():
            yield from _decided(focus, header, section, place)
        case Answered():
            yield from _answered(focus, header, section, place)
        case Held():
            what = "what is not handed off is held" if section.held else "what was held goes on"
            text = f"{what} in shard {header.shard}, words of control read up to offset {section.upto}"
            yield Line(header.at_ms, "deliver", text, place)


def rank_said(focus: Focus, body: Outcome | Restated, ordinal: int) -> int:
    """The rank of the story's person, if the record says it; else -1. ``ordinal``: their place in the audience log."""
    if isinstance(body, Outcome):
        opened, frozen = body.opened, body.members
    else:
        opened = tuple(item.opened for item in body.open)
        frozen = tuple(item.members for item in body.open if item.members is not None)
    told = [_rank_in(each.item, focus.recipient or b"") for each in opened if each.item.request == focus.request]
    told += [_rank_among(members, ordinal) for members in frozen if members.request == focus.request]
    return max(told, default=-1)


def _rank_in(item: WorkItem, recipient: bytes) -> int:
    people = [] if item.rows is None else cells(item.rows.recipients, NAME_BYTES)
    return people.index(recipient) if recipient in people else -1


def _rank_among(members: Members, ordinal: int) -> int:
    if ordinal < 0 or not members.ordinals:
        return -1
    ordinals = BitMap.deserialize(members.ordinals)
    return int(ordinals.rank(ordinal)) - 1 if ordinal in ordinals else -1


def _opened(header: Header, opened: Opened) -> str:
    item = opened.item
    whom = f"list {item.list}" if item.list else people_text(len(item.rows or ()))
    return f"taken over by shard {header.shard} (epoch {header.epoch}): {whom}"


def _members(header: Header, members: Members) -> str:
    return (
        f"members frozen in shard {header.shard}: {people_text(members.count)}, audience up to offset {members.audience_upto}, "
        f"suppressions up to {members.suppressed_upto}"
    )


def _decided(focus: Focus, header: Header, decided: Decided, place: str) -> Iterator[Line]:
    ranks = ranks_of(decided.ranks)
    statuses, attempts = values_of(decided.statuses), values_of(decided.attempts)
    dues = iter(of_i64s(decided.due_ms))
    due_at = [next(dues) if status == State.WAITING else 0 for status in statuses]
    groups: dict[tuple[int, int], list[int]] = defaultdict(list)
    for position in focus.of(header.shard, ranks):
        groups[statuses[position], attempts[position] if attempts else 0].append(position)
    for (status, attempt), positions in groups.items():
        whom = count_text(ranks[position] for position in positions)
        text = f"{whom} of shard {header.shard}: {status_text(status)}"
        if status == State.SENDING:
            text += f", attempt {attempt}; {_barrier(decided.suppressed_upto)}"
        if status == State.WAITING:
            text += f" until {instant(min(due_at[position] for position in positions))}: {_pair_limit(focus, header)}"
        yield Line(header.at_ms, "deliver", text, place, status_reason(status))


def _pair_limit(focus: Focus, header: Header) -> str:
    """Returns what a decision to wait is for: no other limit delays a message (``broker/deliver/limits``)."""
    limit = header.lane.rules.pair_limit
    return (
        f"pair limit, number {focus.sender or 'of the sender'} to this recipient {limit.per_minute} a minute "
        f"after a burst of {limit.burst}"
    )


def _answered(focus: Focus, header: Header, answered: Answered, place: str) -> Iterator[Line]:
    ranks = ranks_of(answered.ranks)
    excepted = of_u32s(answered.except_ranks)
    accepted = sorted(set(ranks) - set(excepted))
    taken = [accepted[position] for position in focus.of(header.shard, accepted)]
    if taken:
        text = f"{count_text(taken)} of shard {header.shard}: accepted by the gateway"
        yield Line(answered.gateway_ms or header.at_ms, "gateway", text, place)
    yield from _excepted(focus, header, answered, place)


def _excepted(focus: Focus, header: Header, answered: Answered, place: str) -> Iterator[Line]:
    excepted = of_u32s(answered.except_ranks)
    dues = of_i64s(answered.except_due_ms) or tuple(repeat(0, len(excepted)))
    codes = of_u32s(answered.except_codes) or tuple(repeat(0, len(excepted)))
    groups: dict[tuple[int, int, int], list[int]] = defaultdict(list)
    for position in focus.of(header.shard, excepted):
        groups[answered.except_statuses[position], codes[position], dues[position]].append(excepted[position])
    for (status, code, due_ms), whom in groups.items():
        said = doubt_text(code) if status == State.IN_DOUBT else f"{status_text(status)}{code_text(code)}"
        text = f"{count_text(whom)} of shard {header.shard}: {said}"
        text += f" until {instant(due_ms)}" if status == State.WAITING and due_ms else ""
        yield Line(header.at_ms, "gateway", text, place, status_reason(status))


def _barrier(upto: int) -> str:
    """Returns how far the log of suppressions had been read when it was decided to send."""
    return "no suppression stood against anybody" if upto < 0 else f"suppressions read up to offset {upto}"


def code_text(code: int) -> str:
    """The gateway's code with its name, for the end of a sentence; nothing for 0."""
    if not code:
        return ""
    name = next((known.name.lower() for known in Code if known == code), "unknown")
    return f" (gateway code {code}, {name})"


def _restated(focus: Focus, header: Header, body: Restated, place: str) -> Iterator[Line]:
    for item in body.open:
        if item.opened.item.request == focus.request:
            yield from _states(focus, header, item, place)
    for closed in body.closed:
        if closed.request == focus.request:
            text = f"closed in shard {header.shard}; its name is remembered until {instant(closed.keep_ms)}"
            yield Line(header.at_ms, "deliver", text, place)


def _states(focus: Focus, header: Header, item: OpenItem, place: str) -> Iterator[Line]:
    statuses = values_of(item.statuses)
    where = f"restated in shard {header.shard}"
    if not statuses:
        yield Line(header.at_ms, "deliver", f"{where}: members not frozen yet", place)
    groups: dict[int, list[int]] = defaultdict(list)
    for position in focus.of(header.shard, range(len(statuses))):
        groups[statuses[position]].append(position)
    for status, ranks in groups.items():
        text = f"{where}: {count_text(ranks)} {status_text(status)}"
        yield Line(header.at_ms, "deliver", text, place, status_reason(status))
