"""What a STOP means, and a later opt-in: stories of what people wrote and did, and what each lane tells them then."""

import pytest

from tests.pure.webhook.stop_stories import PROBES, STORIES, Life, Story


def test_before_all_stories_the_person_hears_everything() -> None:
    """So that silence is what a story brought about."""
    assert set(Life().hears().values()) == {"told"}


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.title)
def test_what_is_told_after_a_story(story: Story) -> None:
    """Silent is who forbade it; whoever did not is told."""
    assert story.lived() == {probe: story.silent.get(probe, "told") for probe in PROBES}
