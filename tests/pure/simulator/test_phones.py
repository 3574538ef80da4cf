"""What people may look at on the phones' page: the newest messages, of one phone or one business, heartbeats on request."""

import base64

import msgspec
import pytest

from broker.heartbeat import TEMPLATES
from schemas.ids import HEARTBEAT_BUSINESS, text_of
from schemas.lanes import Lane
from streams.simulator.frame_rows import Rows
from streams.simulator.phones import KEPT, Phones
from streams.simulator.registry import Registered
from tests.support.simulated import BOOK, ENTRIES, NOW_MS, address, frame, person, section

HEARTBEAT = f"{HEARTBEAT_BUSINESS}-3"


@pytest.fixture
def phones() -> Phones:
    """Phones on which nothing has arrived."""
    return Phones(Registered(ENTRIES), BOOK)


def arrives(phones: Phones, number: int, business: str = "acme", at_ms: int = NOW_MS) -> None:
    """One message comes to one person's phone. Those of Fanfare's own businesses have templates that are not registered."""
    asked = section([number], business=business, sender=f"{business}/main")
    if business == HEARTBEAT:
        asked = msgspec.structs.replace(asked, template=TEMPLATES[Lane.UPDATE])
    phones.show(frame(asked), Rows(asked), [0], {}, at_ms)


def test_heartbeats_are_shown_on_request_only(phones: Phones) -> None:
    """They go to nobody; asked for, they stand among messages by their time."""
    arrives(phones, 1, at_ms=NOW_MS)
    arrives(phones, 2, HEARTBEAT, at_ms=NOW_MS + 1)
    arrives(phones, 3, at_ms=NOW_MS + 2)
    assert [one.business for one in phones.newest(9)] == ["acme", "acme"]
    assert [one.business for one in phones.newest(9, heartbeats=True)] == ["acme", HEARTBEAT, "acme"]
    assert phones.newest(9, heartbeats=True)[1].text.startswith("A heartbeat: ")


def test_any_number_of_heartbeats_leaves_the_messages_where_they_were(phones: Phones) -> None:
    """A lane sends eight heartbeats every ten seconds for ever; a message of an hour ago can still be looked at."""
    arrives(phones, 1)
    for beat in range(2 * KEPT):
        arrives(phones, 2, HEARTBEAT, at_ms=NOW_MS + beat)
    assert len(phones.newest(KEPT)) == 1


@pytest.mark.parametrize("words", [address(7), address(7).removeprefix("tel:"), "0000007"])
def test_one_phone_can_be_looked_at(phones: Phones, words: str) -> None:
    """By its number, with or without the scheme, or by a part of it."""
    for number in (7, 8, 7, 9):
        arrives(phones, number)
    assert len(phones.newest(9, phone=words)) == 2


def test_the_number_as_it_is_shown_finds_the_phone(phones: Phones) -> None:
    """Whoever clicks it has no other."""
    arrives(phones, 7)
    arrives(phones, 8)
    shown = phones.newest(9)[0].phone
    assert "•" in shown
    assert [one.phone for one in phones.newest(9, phone=shown)] == [shown]


def test_a_business_can_be_looked_at(phones: Phones) -> None:
    """And with a phone, what it sent there."""
    arrives(phones, 7)
    arrives(phones, 7, "shut")
    assert [one.business for one in phones.newest(9, business="shut")] == ["shut"]
    assert phones.newest(9, business="shut", phone=address(8)) == []


def test_a_phone_whose_number_cannot_be_opened_is_not_found(phones: Phones) -> None:
    """An address under an unknown key shows as a question mark."""
    sealed = bytes(33)
    asked = section([7], addresses=sealed)
    phones.show(frame(asked), Rows(asked), [0], {}, NOW_MS)
    assert [one.phone for one in phones.newest(9)] == ["?"]
    assert phones.newest(9, phone="1202") == []


def test_somebody_can_be_made_to_answer(phones: Phones) -> None:
    """The newest message of that business on that phone is answered, and the reply says which; nobody else's is."""
    for number in (7, 8):
        arrives(phones, number)
    due = phones.answered(address(7), "acme", "STOPP!", NOW_MS + 5)
    assert due is not None
    assert due.reply is not None
    assert (due.due_ms, due.lane, due.shard) == (NOW_MS + 5, "campaign", 3)
    assert (due.reply.recipient, due.reply.body, due.reply.rank) == (text_of(person(7)), "STOPP!", 0)
    assert due.reply.ref == section([7]).ref
    assert (due.reply.address, due.reply.locale) == (base64.b64encode(section([7]).addresses).decode(), "en")
    assert phones.answered(address(9), "acme", "STOPP!", NOW_MS) is None
    assert phones.answered(address(7), "shut", "STOPP!", NOW_MS) is None
