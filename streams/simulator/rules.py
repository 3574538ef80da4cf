"""Decides as the gateway which messages it takes: checks in a fixed order, on what a frame says about each person.

Order: past its time, form and template, account, throughput, pair, the person's own settings, the number, sealed codes; the
answers are WhatsApp's error codes. Names that were accepted before never come here: a repeat is answered ``accepted``
whatever the rules say by now. A refused message is forgotten and may be sent again.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from schemas.gateway_api import Code, Frame, Refused
from schemas.lanes import Category, Lane
from schemas.registry import Template
from schemas.spans import scaled_windows
from schemas.wire.sealed import AddressBook, SealError, open_code
from streams.simulator.frame_rows import Rows, is_heartbeat
from streams.simulator.phone_users import Crowd
from streams.simulator.platform_limits import PairLimit, SenderThroughput
from streams.simulator.registry import Registered

Refusals = Mapping[int, Refused]
_NONE: Final[Refusals] = {}


class Asked(msgspec.Struct):
    """Holds a section under judgement; ``open`` are the positions that nothing refused so far, ascending."""

    frame: Frame
    rows: Rows
    open: list[int]
    now_ms: int
    """When the frame is judged, by the gateway's clock, milliseconds since the epoch."""
    refused: dict[int, Refused] = {}
    clear: dict[int, dict[str, str]] = {}
    """Opened parameters by position: for the phone's screen, never to be written."""

    def refusals(self) -> tuple[Refused, ...]:
        """Returns the refusals, in the order of positions."""
        return tuple(self.refused[at] for at in sorted(self.refused))


class Rules:
    """The gateway's checks and the state they need. ``limits`` off: neither throughput nor pair."""

    def __init__(
        self,
        registered: Registered,
        crowd: Crowd,
        book: AddressBook,
        private: dict[str, bytes],
        *,
        limits: bool,
        time_scale: float = 1,
    ) -> None:
        self._registered = registered
        self._time_scale = time_scale
        self._crowd = crowd
        self._book = book
        self._private = private
        self._throughput = SenderThroughput()
        self._pairs = PairLimit()
        throttles: tuple[Callable[[Asked], Refusals], ...] = (self._sender, self._pair) if limits else ()
        self._checks = (
            self._template,
            self._account,
            *throttles,
            self._stopped_marketing,
            self._undeliverable,
            self._codes,
        )

    def names_ms(self, lane: Lane) -> int:
        """Returns how long names of a lane are remembered, milliseconds."""
        return scaled_windows(lane.rules.windows, self._time_scale).gateway_names_ms

    def judge(self, asked: Asked) -> None:
        """Move what is refused from ``asked.open`` to ``asked.refused``."""
        checks = () if is_heartbeat(asked.rows.section.business) else self._checks
        for check in (_past_its_time, *checks):
            refused = check(asked)
            if refused:
                asked.refused.update(refused)
                asked.open = [position for position in asked.open if position not in refused]
            if not asked.open:
                return

    def template_of(self, rows: Rows) -> Template | None:
        """The approved template that a section names."""
        section = rows.section
        template = self._registered.template(section.business, section.template, section.template_version)
        return template if template is not None and template.category == section.category else None

    def _template(self, asked: Asked) -> Refusals:
        template = self.template_of(asked.rows)
        if template is None:
            return _all(asked, Code.TEMPLATE_MISSING)
        if not template.active:
            return _all(asked, Code.TEMPLATE_PAUSED)
        if untold := _untold(asked, template):
            return untold
        slots = {parameter.name for parameter in template.parameters}
        section = asked.rows.section
        if not section.params_each:
            return _NONE if section.params.keys() == slots else _all(asked, Code.TEMPLATE_PARAMETERS)
        common = section.params.keys()
        wrong = (at for at in asked.open if common | section.params_each[at].keys() != slots)
        return {at: Refused(at, Code.TEMPLATE_PARAMETERS) for at in wrong}

    def _account(self, asked: Asked) -> Refusals:
        section = asked.rows.section
        allowed = self._registered.may_send(section.business, section.sender, asked.frame.lane)
        return _NONE if allowed else _all(asked, Code.ACCOUNT_LOCKED)

    def _sender(self, asked: Asked) -> Refusals:
        sender = asked.rows.section.sender
        rate_per_s = self._registered.throughput(sender, asked.frame.lane)
        granted = self._throughput.take(sender, rate_per_s, len(asked.open), asked.now_ms)
        return {
            at: Refused(at, Code.SENDER_THROTTLED, self._throughput.wait_ms(sender, place, asked.now_ms))
            for place, at in enumerate(asked.open[granted:])
        }

    def _pair(self, asked: Asked) -> Refusals:
        rows, places = asked.rows, asked.open
        waits = self._pairs.take(rows.section.sender, rows.part(places)[1], asked.now_ms)
        return {places[at]: Refused(places[at], Code.PAIR_THROTTLED, wait_ms) for at, wait_ms in waits.items()}

    def _stopped_marketing(self, asked: Asked) -> Refusals:
        section = asked.rows.section
        if section.category != Category.MARKETING.word:
            return _NONE
        stopped = self._crowd.stopped_marketing(asked.rows.recipients, section.business)
        return {at: Refused(at, Code.USER_STOPPED_MARKETING) for at in _among(asked.open, stopped)}

    def _undeliverable(self, asked: Asked) -> Refusals:
        wrong = self._crowd.wrong_numbers(asked.rows.recipients)
        return {at: Refused(at, Code.UNDELIVERABLE) for at in _among(asked.open, wrong)}

    def _codes(self, asked: Asked) -> Refusals:
        template = self.template_of(asked.rows)
        assert template is not None
        sealed = [parameter.name for parameter in template.parameters if parameter.sealed]
        if not sealed:
            return _NONE
        refused = {}
        for at in asked.open:
            try:
                asked.clear[at] = {name: self._opened(asked.rows, at, name) for name in sealed}
            except SealError:
                refused[at] = Refused(at, Code.CODE_NOT_OPENED)
        return refused

    def _opened(self, rows: Rows, position: int, parameter: str) -> str:
        return open_code(
            rows.params(position)[parameter],
            self._private,
            request=rows.request,
            address=self._book.open(rows.address(position)),
            template=rows.section.template,
            parameter=parameter,
        )


def _past_its_time(asked: Asked) -> Refusals:
    if asked.now_ms > asked.frame.not_after_ms:
        return _all(asked, Code.STALE_FRAME)
    if asked.now_ms > asked.rows.section.expires_ms:
        return _all(asked, Code.EXPIRED)
    return _NONE


def _untold(asked: Asked, template: Template) -> Refusals:
    """Returns the refusals of people in whose language there is no text: what to say instead is the sender's choice."""
    if asked.rows.languages <= template.texts.keys():
        return _NONE
    untold = (at for at in asked.open if asked.rows.locale(at) not in template.texts)
    return {at: Refused(at, Code.TEMPLATE_MISSING) for at in untold}


def _all(asked: Asked, code: Code) -> Refusals:
    return {at: Refused(at, code) for at in asked.open}


def _among(positions: list[int], chosen: list[int]) -> set[int]:
    return set(chosen).intersection(positions) if chosen else set()
