"""Wrong inputs on a real Kafka: each is answered, with a reason and with advice, and nobody else notices."""

import asyncio

import pytest

from streams.runtime.settings import dev_intake_key
from tests.acceptance.bad_inputs import Outcome, outcome_of, plan_of, table
from tests.acceptance.http_inputs import HTTP_ROWS, SHOP, HttpRow
from tests.acceptance.inputs import BROKER, CANARY, ROWS, STATUS, Row
from tests.support.secured import running

ACCEPTED = ("", "duplicate")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """What became of all rows, published one after the other to one stack."""

    async def ask() -> Outcome:
        async with running(plan_of(tmp_path_factory.mktemp("inputs")), say=print) as stack:
            return await outcome_of(stack)

    return asyncio.run(ask())


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_wrong_input_is_answered(row: Row, outcome: Outcome) -> None:
    """It is answered where the table says, for that reason, with the sentence that helps."""
    heard = outcome.heard[row.name]
    assert (heard.where, heard.reason) == (row.where, row.reason)
    assert row.says in heard.sentence
    if row.where == STATUS:
        assert heard.state == ("accepted" if row.reason in ACCEPTED else "refused")


@pytest.mark.parametrize("row", HTTP_ROWS, ids=lambda row: row.name)
def test_a_wrong_request_is_answered(row: HttpRow, outcome: Outcome) -> None:
    """With the status of its kind, as a problem that names each place, the reason and the sentence that helps."""
    answer = outcome.http[row.name]
    if not row.reason:
        assert (answer.status, answer.errors) == (row.status, [])
        return
    first, *_ = answer.errors
    assert answer.status == answer.told["status"] == row.status
    assert answer.headers["Content-Type"].startswith("application/problem+json")
    assert (first["place"], first["reason"]) == (row.place, row.reason)
    assert row.says in first["detail"]
    assert {error["place"] for error in answer.errors} >= set(row.more)


def test_headers_tell_what_to_do_next(outcome: Outcome) -> None:
    """How to show who one is, and which method is taken."""
    assert outcome.http["no key"].headers["WWW-Authenticate"].startswith("Bearer")
    assert outcome.http["GET"].headers["Allow"] == "POST"


def test_no_sentence_repeats_what_was_sent(outcome: Outcome) -> None:
    """Answers name fields and positions, never values, and are whole sentences."""
    for row in ROWS:
        sentence = outcome.heard[row.name].sentence
        assert CANARY not in sentence
        assert row.where == BROKER or not row.reason or (len(sentence) > 30 and sentence[-1] in ".?}"), row.name


def test_no_problem_repeats_what_was_sent(outcome: Outcome) -> None:
    """Neither values of the event nor keys; every error has a whole sentence."""
    for name, answer in outcome.http.items():
        assert CANARY.encode() not in answer.body, name
        assert dev_intake_key(SHOP).encode() not in answer.body, name
        assert all(len(error["detail"]) > 20 and error["detail"][-1] in ".?}" for error in answer.errors), name


def test_the_neighbours_are_unharmed(outcome: Outcome) -> None:
    """After all of them a sound event reaches its phone, no process has ended, and every account closes."""
    assert outcome.delivered in ("delivered", "read")
    assert outcome.restarts == 0
    assert not outcome.audit.violations
    assert outcome.audit.accepted > 0


def test_the_table_is_wide_and_can_be_shown(outcome: Outcome) -> None:
    """Every way of being answered occurs; the printed table has a line for each row."""
    assert {heard.where for heard in outcome.heard.values()} == {"status", "dead letter", "client", "broker"}
    problems = sum(len(answer.errors) or 1 for answer in outcome.http.values())
    assert len(list(table(outcome))) == len(ROWS) + problems + 3
    assert len({row.name for row in ROWS} | {row.name for row in HTTP_ROWS}) == len(ROWS) + len(HTTP_ROWS)
