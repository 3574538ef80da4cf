"""``.ci/get-prometheus``: without root, at most one download, and never a reason for the suite to fail."""

import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / ".ci" / "get-prometheus"
TOOLS = ("bash", "dirname", "dpkg-deb", "env", "id", "mkdir", "mktemp", "mv", "rm", "tail", "timeout")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the script and with a path of its own, on which there is neither apt-get nor prometheus."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(SCRIPT, tmp_path / ".ci")
    (tmp_path / "bin").mkdir()
    for tool in TOOLS:
        if (held := shutil.which(tool)) is not None:
            (tmp_path / "bin" / tool).symlink_to(held)
    return tmp_path


def program(path: Path, *lines: str) -> None:
    """Write a program of the shell."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/usr/bin/env bash", *lines, ""]))
    path.chmod(0o755)


def run(checkout: Path) -> subprocess.CompletedProcess[str]:
    """Run the script to its end."""
    return subprocess.run(
        [checkout / ".ci" / "get-prometheus"],
        env={"PATH": str(checkout / "bin")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_where_there_is_no_apt_get_it_says_so(checkout: Path) -> None:
    """In a sentence, and the suite goes on."""
    ended = run(checkout)
    assert (ended.returncode, ended.stdout) == (0, "")
    assert ended.stderr.startswith("fanfare: there is no apt-get here, so tests of Prometheus rules are skipped")


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb here")
def test_where_apt_get_fails_it_says_why_and_leaves_nothing(checkout: Path) -> None:
    """With its lists and with lists of the script's own."""
    program(checkout / "bin" / "apt-get", 'echo "E: no network"', "exit 100")
    ended = run(checkout)
    assert ended.returncode == 0
    assert "apt-get cannot download it (E: no network), so tests" in ended.stderr
    assert list((checkout / ".cache").iterdir()) == []


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="there is no dpkg-deb here")
def test_what_apt_get_gave_is_unpacked_once(checkout: Path) -> None:
    """The second run asks nobody."""
    package = checkout / "package"
    program(package / "usr" / "bin" / "promtool", "exit 0")
    (package / "DEBIAN").mkdir()
    (package / "DEBIAN" / "control").write_text(
        "Package: prometheus\nVersion: 1\nArchitecture: all\nMaintainer: Nobody <nobody@example.com>\nDescription: none\n"
    )
    program(checkout / "bin" / "apt-get", f"dpkg-deb -b {package} . >/dev/null")
    for tool in ("tar", "xz", "gzip", "zstd"):
        if (held := shutil.which(tool)) is not None:
            (checkout / "bin" / tool).symlink_to(held)
    assert run(checkout).stdout == "getting Debian's prometheus for the tests\n"
    assert (checkout / ".cache" / "prometheus" / "usr" / "bin" / "promtool").exists()
    program(checkout / "bin" / "apt-get", "exit 1")
    again = run(checkout)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
