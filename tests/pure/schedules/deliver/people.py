"""Who was on which list at which moment, and who came back when: written down once more, from the log as it was appended."""

from collections import defaultdict
from typing import NamedTuple

from broker.audience.consent import Returns
from schemas.wire.columns import cells, of_i64s
from tests.pure.schedules.deliver.world import change_in
from tests.pure.schedules.log import Log


class _Word(NamedTuple):
    offset: int
    acknowledged_ms: int
    evidence_ms: int
    left: bool
    acted: bool
    offers: bool


class Lists:
    """The audience's log by (list, person)."""

    def __init__(self, log: Log) -> None:
        self._words: dict[tuple[str, bytes], list[_Word]] = defaultdict(list)
        for offset, (_, at_ms, record) in enumerate(log.whole):
            change = change_in(record)
            for person, evidence_ms in zip(cells(change.recipients, 16), of_i64s(change.evidence_ms), strict=True):
                capped_ms = min(evidence_ms, change.received_ms)
                word = _Word(offset, at_ms, capped_ms, not change.join, change.join and change.acted, change.offers)
                self._words[change.list, person].append(word)

    def on(self, list_id: str, person: bytes, upto: int) -> bool:
        """Returns True if a person was on a list as of an offset: the latest evidence counts, leaving wins a tie."""
        words = [(word.evidence_ms, word.left) for word in self._words[list_id, person] if word.offset <= upto]
        return bool(words) and not max(words)[1]

    def off_throughout(self, list_id: str, person: bytes, since_ms: int, until_ms: int) -> bool:
        """Returns True if a person was not on a list when ``since_ms`` had been acknowledged, nor at any moment after it."""
        words = self._words[list_id, person]
        moments = [since_ms, *(word.acknowledged_ms for word in words if since_ms < word.acknowledged_ms <= until_ms)]
        return not any(self._on_at(list_id, person, at_ms) for at_ms in moments)

    def _on_at(self, list_id: str, person: bytes, at_ms: int) -> bool:
        last = [word.offset for word in self._words[list_id, person] if word.acknowledged_ms <= at_ms]
        return bool(last) and self.on(list_id, person, max(last))

    def members(self, list_id: str, upto: int) -> set[bytes]:
        """Returns everybody who was on a list as of an offset."""
        return {person for named, person in list(self._words) if named == list_id and self.on(list_id, person, upto)}

    def returns(self, list_id: str, person: bytes, *, upto: int | None = None, at_ms: int | None = None) -> Returns:
        """Returns when a person last joined by an act of theirs, as of an offset or of a moment."""
        acts = [
            (named, word)
            for (named, who), words in list(self._words.items())
            if who == person
            for word in words
            if word.acted and (upto is None or word.offset <= upto) and (at_ms is None or word.acknowledged_ms <= at_ms)
        ]
        return Returns(
            max((word.evidence_ms for named, word in acts if named == list_id), default=-1),
            max((word.evidence_ms for _, word in acts if word.offers), default=-1),
        )
