"""The ground of the planted violations: rows, and the edits that many of them share."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from broker.audit.invariants import Breach
from schemas import topics
from schemas.delivery_journal import Outcome
from schemas.ids import text_of
from schemas.lanes import Lane
from schemas.plan_journal import PlannedBatch
from tests.pure.audit.dump import Asked
from tests.pure.audit.log import people_in
from tests.pure.audit.story import Story

Edit = Callable[[Story], None]
replace = msgspec.structs.replace


@dataclass(frozen=True)
class Plant:
    """One row: the breach, the edit, what else may follow from it, and what the audit is told beside the usual."""

    breach: Breach
    edit: Edit
    also: tuple[Breach, ...] = ()
    rules: tuple[tuple[str, Any], ...] = ()


class Plants(list[Plant]):
    """Rows of a table, each made of the function that it decorates."""

    def row(self, breach: Breach, *also: Breach, **rules: Any) -> Callable[[Edit], Edit]:
        """The decorated edit must be found as ``breach``, and as ``also`` at most beside it."""

        def enter(edit: Edit) -> Edit:
            self.append(Plant(breach, edit, also, tuple(rules.items())))
            return edit

        return enter


def news(story: Story, event_id: str, shard: int = 1, **terms: Any) -> Asked:
    """A request of the shop to one more person of ``shard``, taken over."""
    asked = story.ask(Lane.UPDATE, event_id, people_in(shard, 1, 500), **{"business": "shop"} | terms)
    story.open(asked, shard)
    return asked


def sections(story: Story, asked: Asked, kind: str, change: Callable[[Any], Any]) -> None:
    """Change the first section of a kind (``opened``, ``members``, ``decided``, ``answered``) about a request."""

    def in_record(body: Outcome) -> Outcome | None:
        listed = list(getattr(body, kind))
        for at, section in enumerate(listed):
            if (section.item.request if kind == "opened" else section.request) == asked.name:
                listed[at] = change(section)
                return replace(body, **{kind: tuple(listed)})
        return None

    story.edit(topics.outcomes(asked.lane), Outcome, in_record)


def verdict(story: Story, asked: Asked, **fields: Any) -> None:
    """Change the verdict about a request."""

    def in_record(body: PlannedBatch) -> PlannedBatch | None:
        if all(entry.name != asked.name for entry in body.entries):
            return None
        return PlannedBatch(tuple(replace(entry, **fields) for entry in body.entries))

    story.edit(topics.plans(asked.lane), PlannedBatch, in_record)


def accepted(story: Story, asked: Asked, **fields: Any) -> None:
    """Change the first acceptance of a request in the gateway's log."""
    log = story.gateway[asked.lane]
    at = next(at for at, e in enumerate(log) if e.event == "accepted" and e.request == text_of(asked.name))
    log[at] = replace(log[at], **fields)
