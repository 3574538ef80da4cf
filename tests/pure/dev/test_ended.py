"""How the supervisor says that a process has ended."""

import pytest

from streams.runtime.supervisor import how_it_ended


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (71, "status 71: An append was not confirmed; whether it happened is unknown, and the next claim reads it."),
        (1, "status 1"),
        (0, "status 0"),
        (-9, "SIGKILL"),
    ],
)
def test_an_end_is_told_with_its_sentence(status: int, said: str) -> None:
    """Of a status that is one of ours; whoever reads `fanfare dev` need not look it up."""
    assert how_it_ended(status) == said
