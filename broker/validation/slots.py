"""The parameters of a request against the slots of its template, being mended: plan's own check is asked until it is content."""

import re
from typing import Final

import msgspec

from broker.plan.params import fill
from broker.plan.validate import Content
from broker.registry.fold import SEAL, Registry
from broker.validation.repair import Path, path_of
from schemas.reasons import Reason
from schemas.refusal import Refusal
from schemas.registry import Key, Template
from schemas.request import Params, Sealed
from schemas.wire.text import echo

_SLOT: Final = re.compile(r"(\S+?params)(?:, slot |: the template has no slot )(?=`)")
_QUOTED: Final = re.compile(r"`(.*?)`")
_SPARE: Final = Key("key", SEAL, "")


class Slots:
    """What is in the slots, for all and for each recipient; :meth:`mend` makes good one refusal after another."""

    def __init__(self, content: Content, template: Template, registry: Registry) -> None:
        self._people = content.people
        self._template = template
        self._common: Params = dict(content.body.params)
        self._own: dict[int, Params] = {person.position: dict(person.params) for person in content.people}
        self._sealed = {slot.name: slot.sealed for slot in template.parameters}
        self._keys = {kid: key for kid, key in registry.keys.items() if key.use == SEAL}

    def refusal(self) -> Refusal | None:
        """The first thing that plan would not take."""
        people = [msgspec.structs.replace(person, params=self._own[person.position]) for person in self._people]
        filled = fill(self._template, self._common, people, seal_keys=self._keys)
        return filled if isinstance(filled, Refusal) else None

    def mend(self, refusal: Refusal) -> Path | None:
        """Make good what is refused, and say where it stood; None if it is not known how."""
        if match := _SLOT.match(refusal.detail):
            return self._slot(path_of(match[1]), refusal.detail[match.end() :])
        if refusal.reason is Reason.MISSING_PARAMETER:
            for name in _QUOTED.findall(refusal.detail)[1:]:
                self._fill(name)
            return ("data", "params")
        shared = next((name for name, value in self._common.items() if isinstance(value, Sealed)), None)
        if shared is None:
            return None
        del self._common[shared]
        if shared in self._sealed:
            self._fill(shared)
        return ("data", "params", shared)

    def _slot(self, place: Path, told: str) -> Path:
        """One value that does not fit, by what the sentence goes on with: its name, which may have been cut."""
        params = self._common if len(place) == 2 else self._own[int(place[3])]
        name = max((name for name in params if told.startswith(echo(name))), key=len)
        del params[name]
        if name in self._sealed:
            self._fill(name, only=None if len(place) == 2 else params)
        return (*place, name)

    def _fill(self, name: str, only: Params | None = None) -> None:
        """Something that fits, for all who lack it, or in ``only`` these parameters."""
        if not self._keys:
            self._keys = {_SPARE.id: _SPARE}
        sealed = self._sealed[name]
        value = Sealed(f"{next(iter(self._keys))}.") if sealed else ""
        every = self._own.values() if sealed and self._people else (self._common,)
        for params in every if only is None else (only,):
            params.setdefault(name, value)
