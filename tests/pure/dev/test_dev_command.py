"""`fanfare dev` before anything is started: what its simulated phones are to be like."""

import os
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from streams.commands.dev import app, gateway_options
from streams.simulator.phone_users import ONLINE, PROFILES
from streams.simulator.program import profile_of


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_is_given_to_the_gateway_by_its_name(name: str) -> None:
    """Each that the gateway knows."""
    assert gateway_options(name) == ("--profile", name)


def test_a_file_is_given_by_its_whole_path(tmp_path: Path) -> None:
    """The gateway may run elsewhere."""
    file = tmp_path / "quick.json"
    file.write_bytes(msgspec.json.encode(ONLINE))
    _, given = gateway_options(os.path.relpath(file))
    assert Path(given).is_absolute()
    assert profile_of(given) == ONLINE


def test_an_unknown_profile_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """With the names that there are, and nothing in the data folder."""
    result = CliRunner().invoke(app, ["--profile", "onlin", "--data", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "fanfare dev: profile 'onlin' is neither one of real, online nor a file that can be read" in result.stderr
    assert not (tmp_path / "data").exists()
