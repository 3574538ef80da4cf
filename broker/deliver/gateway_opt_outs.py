"""Derives suppressions from the gateway's answers: whom a business must let alone from now on, by the table of consequences.

A pure function of a journaled answer and what was open before it, so a recovering owner finds the same; suppressions are a
join, and repeating one changes nothing. Rows that were withheld carry no code of the gateway and say nothing new.
"""

from collections.abc import Mapping
from typing import Final

from broker.audience.members import Audience
from broker.consequences import CONSEQUENCES
from broker.deliver.item import Item, recipients_of
from broker.deliver.state import Body, ShardState
from schemas.delivery_journal import Answered, Outcome
from schemas.facts import Scope, Suppression
from schemas.wire.columns import of_u32s
from schemas.wire.header import Header

_SUPPRESSES: Final[Mapping[int, Scope]] = {
    reason.value: row.suppress for reason, row in CONSEQUENCES.items() if row.suppress is not None
}


def opt_outs(state: ShardState, header: Header, body: Body, audience: Audience) -> list[Suppression]:
    """The opt-outs that one valid record brings. Ask before it is applied to ``state``: an answer may close its request."""
    if not isinstance(body, Outcome):
        return []
    found: list[Suppression] = []
    for answered in body.answered:
        item = state.items.get(answered.request)
        if item is not None and answered.except_codes:
            found += _of(item, answered, header.at_ms, audience)
    return found


def _of(item: Item, answered: Answered, at_ms: int, audience: Audience) -> list[Suppression]:
    ranks, codes = of_u32s(answered.except_ranks), of_u32s(answered.except_codes)
    said = [
        (rank, code, scope)
        for rank, code, status in zip(ranks, codes, answered.except_statuses, strict=True)
        if code and (scope := _SUPPRESSES.get(status)) is not None
    ]
    if not said:
        return []
    people = recipients_of(item.people([rank for rank, _, _ in said], audience))
    return [
        Suppression(
            recipient=recipient,
            business=item.terms.business,
            scope=scope,
            revoke=True,
            evidence_ms=min(answered.gateway_ms, at_ms),
            received_ms=at_ms,
            evidence=f"gateway code {code}",
            request=answered.request,
        )
        for recipient, (_, code, scope) in zip(people, said, strict=True)
    ]
