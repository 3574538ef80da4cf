"""Parameters of a request against the slots of its template: complete, none unknown, sealed where the slot is.

A value in clear for a sealed slot is never repeated: not in the sentence, not in a dead letter. It does stand in the request
topic, so the sentence says that the code is burnt (PROTOCOL.md section 6).
"""

import unicodedata
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from broker.plan.recipients import Person
from schemas.reasons import Reason
from schemas.refusal import Refusal
from schemas.registry import Key, Template
from schemas.request import Params, Sealed
from schemas.wire.text import echo, suggestion


class Filled(msgspec.Struct, frozen=True):
    """Texts and sealed texts by slot: those common to all, and those of each recipient on top."""

    common: dict[str, str]
    own: tuple[dict[str, str], ...]


def fill(
    template: Template, common: Params, people: Sequence[Person], *, seal_keys: Mapping[str, Key]
) -> Filled | Refusal:
    """The parameters of a request, or the first that does not fit the template."""
    slots = {slot.name: slot.sealed for slot in template.parameters}
    texts = _shared(common, len(people)) or _texts("data.params", common, slots, seal_keys)
    if isinstance(texts, Refusal):
        return texts
    if not people:
        return _complete(template, texts.keys(), slots.keys()) or Filled(texts, ())
    own: list[dict[str, str]] = []
    for person in people:
        place = f"data.to.recipients[{person.position}].params"
        texts_here = _texts(place, person.params, slots, seal_keys)
        if isinstance(texts_here, Refusal):
            return texts_here
        if refusal := _complete(template, texts.keys() | texts_here.keys(), slots.keys()):
            return refusal
        own.append(texts_here)
    return Filled(texts, tuple(own))


def _shared(common: Params, people: int) -> Refusal | None:
    """A sealed value is bound to the address of one person (``schemas/wire/sealed.py``)."""
    if people <= 1 or not any(isinstance(value, Sealed) for value in common.values()):
        return None
    return Refusal(
        Reason.INVALID_FIELD,
        "data.params: a sealed value opens for one recipient only; put it into that recipient's params.",
    )


def _complete(template: Template, held: AbstractSet[str], slots: AbstractSet[str]) -> Refusal | None:
    if held >= slots:
        return None
    missing = ", ".join(f"`{name}`" for name in sorted(slots - held))
    return Refusal(Reason.MISSING_PARAMETER, f"Template {echo(template.id)} needs {missing} for every recipient.")


def _texts(
    place: str, params: Params, slots: Mapping[str, bool], seal_keys: Mapping[str, Key]
) -> dict[str, str] | Refusal:
    texts: dict[str, str] = {}
    for name, value in params.items():
        if name not in slots:
            return Refusal(
                Reason.UNKNOWN_PARAMETER, f"{place}: the template has no slot {echo(name)}{suggestion(name, slots)}"
            )
        if refusal := _unsuitable(f"{place}, slot {echo(name)}", value, seal_keys, sealed=slots[name]):
            return refusal
        texts[name] = value.sealed if isinstance(value, Sealed) else unicodedata.normalize("NFC", value)
    return texts


def _unsuitable(place: str, value: str | Sealed, seal_keys: Mapping[str, Key], *, sealed: bool) -> Refusal | None:
    if not isinstance(value, Sealed):
        if not sealed:
            return None
        return Refusal(
            Reason.NOT_SEALED,
            f"{place} takes sealed values only. What was sent in clear is burnt: make a new code, seal it, use a new id.",
        )
    if not sealed:
        return Refusal(Reason.INVALID_FIELD, f"{place} takes text: nobody but the gateway could read a sealed value.")
    if value.sealed.partition(".")[0] not in seal_keys:
        known = ", ".join(echo(kid) for kid in sorted(seal_keys)) or "none"
        return Refusal(Reason.NOT_SEALED, f"{place} is sealed to a key that is not registered; registered: {known}.")
    return None
