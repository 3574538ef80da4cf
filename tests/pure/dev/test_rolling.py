"""Which processes a restart means and in which order, and what a stack tells of its processes."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from streams.dev.stack.rolling_restart import chosen, roll
from streams.dev.stack.running_file import Entry, Register, read_register
from streams.runtime.supervisor import Process, ProcessError, ProcessPlan

STACK = (
    "ledger",
    "webhook",
    "gateway-otp",
    "worker-otp-0",
    "worker-update-0",
    "worker-campaign-0",
    "worker-otp-1",
    "worker-update-1",
    "worker-campaign-1",
)


@pytest.mark.parametrize(
    ("names", "slots", "which", "meant"),
    [
        pytest.param((), (1,), "", ["worker-campaign-1", "worker-otp-1", "worker-update-1"], id="a slot"),
        pytest.param(("webhook", "ledger"), (), "", ["webhook", "ledger"], id="names, as given"),
        pytest.param(("ledger", "worker-otp-0"), (0,), "", [*sorted(STACK[3:6]), "ledger"], id="each once"),
        pytest.param((), (), "workers", [*sorted(STACK[3:6]), *sorted(STACK[6:])], id="workers, slot by slot"),
        pytest.param((), (), "every", [*sorted(STACK[3:6]), *sorted(STACK[6:]), *STACK[:3]], id="all, workers first"),
    ],
)
def test_a_restart_goes_slot_by_slot(
    names: tuple[str, ...], slots: tuple[int, ...], which: str, meant: list[str]
) -> None:
    """A lane has never two slots away because of us, as one is back before the next goes."""
    assert chosen(STACK, names=names, slots=slots, workers=which == "workers", every=which == "every") == meant


@pytest.mark.parametrize(
    ("names", "slots", "sentence"),
    [
        pytest.param((), (2,), "there is no slot 2; there are slots 0, 1 and ledger, webhook", id="slot"),
        pytest.param(("leger",), (), "there is no leger", id="name"),
        pytest.param((), (), "say which: --slot N, --workers, --all, or names", id="nothing"),
    ],
)
def test_what_is_not_there_is_refused(names: tuple[str, ...], slots: tuple[int, ...], sentence: str) -> None:
    """Before anything is ended."""
    with pytest.raises(ValueError, match=sentence):
        chosen(STACK, names=names, slots=slots, workers=False, every=False)


def process(name: str, folder: Path) -> Process:
    """One that was never started."""
    plan = ProcessPlan(name, (name,), {}, "127.0.0.1", 9810, folder / f"{name}.log")
    return Process(plan, say=lambda _: None)


def test_a_stack_tells_of_its_processes_while_it_is_kept(tmp_path: Path) -> None:
    """Nobody keeps it before and after; another stack in its folder is refused meanwhile."""
    assert read_register(tmp_path) == {}
    register = Register(tmp_path)
    assert read_register(tmp_path) == {}
    register.write([process("ledger", tmp_path)])
    assert read_register(tmp_path) == {"ledger": Entry("ledger", 0, 0, "127.0.0.1", 9810)}
    with pytest.raises(ProcessError, match=r"a stack runs in .* already"):
        Register(tmp_path)
    register.close()
    assert read_register(tmp_path) == {}


def test_a_list_that_a_killed_stack_left_is_not_believed(tmp_path: Path) -> None:
    """Its process ids may be anybody's by now."""
    (tmp_path / "stack.lock").touch()
    (tmp_path / "stack.json").write_bytes(msgspec.json.encode([Entry("ledger", 1, 1, "127.0.0.1", 9810)]))
    assert read_register(tmp_path) == {}
    with pytest.raises(ProcessError, match="keeps no ledger any more"):
        asyncio.run(anext(roll(tmp_path, ["ledger"])))  # type: ignore[arg-type]


def test_a_list_of_another_release_is_not_guessed_at(tmp_path: Path) -> None:
    """The stack has to be restarted as a whole."""
    register = Register(tmp_path)
    (tmp_path / "stack.json").write_bytes(b'{"processes": []}\n')
    with pytest.raises(ProcessError, match="another release"):
        read_register(tmp_path)
    register.close()
