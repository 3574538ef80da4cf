"""A run says which promises it has switched off, by what it runs with and not by hand."""

import pytest

from streams.runtime.settings import load
from tests.load.promises import switched_off


@pytest.mark.parametrize(
    ("fields", "options", "said"),
    [
        ({}, (), []),
        ({}, ("--profile", "online"), []),
        ({"limits": False}, (), ["limits at the broker", "limits at the gateway"]),
        ({}, ("--profile", "online", "--no-limits"), ["limits at the gateway"]),
        ({"accept_trimmed": "plans.otp:0:1"}, (), ["journals that are whole"]),
    ],
)
def test_what_is_off_is_said(fields: dict[str, bool], options: tuple[str, ...], said: list[str]) -> None:
    """Everything on says nothing; each switch has its words."""
    assert switched_off(load(**fields), options) == said
