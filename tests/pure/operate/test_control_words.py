"""What the operators' switch promises: within how many seconds nothing more is handed off."""

from schemas.lanes import Lane
from streams.commands.control import bound


def test_a_pause_binds_within_a_second_and_a_tenth_where_frames_live_for_a_second() -> None:
    """A lane whose frames live longer is named with its own figure, and the highest is the bound of all."""
    assert bound([Lane.UPDATE]) == (1.1, "1.1 s")
    assert bound([Lane.OTP]) == (5.1, "5.1 s")
    assert bound(list(Lane)) == (5.1, "1.1 s (otp: 5.1 s)")
