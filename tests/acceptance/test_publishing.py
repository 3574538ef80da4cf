"""Publishing as people do it, against everything that runs: the cookbook, the example programs, and the command."""

import ast
import asyncio
import inspect
import json
import re
import signal
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import streams.client
from schemas.lanes import Lane
from schemas.request import Notification
from streams.client import Client, Event, Head, Position, notification, to_people
from streams.commands.terminal import INTERRUPTED
from streams.runtime.kafka_access import Address
from tests.acceptance.bad_inputs import plan_of
from tests.acceptance.terminal import FANFARE, Terminal, done, terminal
from tests.support.secured import as_business, environment, running, variables_of

EXAMPLES = Path("deploy/dev/examples")
USUAL = "127.0.0.1:9092"
"""The address in the cookbook."""
SHOP = "shop-parcelo"
PLAIN = pytest.mark.plain_kafka("it names a plain Kafka")


@pytest.fixture(scope="module")
def bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Address]:
    """The shop's way into the Kafka of a stack that runs, with phones that are at hand."""
    with asyncio.Runner() as runner:
        lent = running(plan_of(tmp_path_factory.mktemp("publishing")), say=print)
        stack = runner.run(lent.__aenter__())
        try:
            yield as_business(stack.kafka, SHOP)
        finally:
            runner.run(lent.__aexit__(None, None, None))


def parcel(run: str, number: int) -> Event:
    """A sound update."""
    content = Notification(
        "parcel_delivered",
        to_people(f"tel:+1212555{100 + number:04}"),
        params={"parcel": f"PX-{number}", "event_time": "noon"},
    )
    return notification(Head(source="//shop-parcelo/parcels", id=f"{run}-{number}", lifetime_ms=3_600_000), content)


async def ended(bootstrap: Address, command: tuple[str, ...], given: bytes = b"") -> tuple[int, list[str], str]:
    """Exit status, lines of standard output, standard error of a command that reads ``given``."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(bootstrap=bootstrap), stdin=pipe, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(60):
        out, said = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, out.decode().splitlines(), said.decode()


@PLAIN
async def test_the_cookbook_is_true(bootstrap: Address, capsys: pytest.CaptureFixture[str]) -> None:
    """Its examples, run as they stand one after another, on their own words alone."""
    recipes = [
        textwrap.dedent(found) for found in re.findall(r"::\n\n((?:    .*\n|\n)+)", streams.client.__doc__ or "")
    ]
    assert len(recipes) == 8
    names: dict[str, Any] = {}
    for recipe in recipes:
        program = compile(recipe.replace(USUAL, str(bootstrap)), "cookbook", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        if program.co_flags & inspect.CO_COROUTINE:
            await eval(program, names)
        else:
            await asyncio.to_thread(exec, program, names)
    shown = capsys.readouterr().out
    assert "/expirytme unknown_field" in shown
    assert re.search(r"^\w{26} (accepted|running) $", shown, re.MULTILINE)
    assert "not_" not in shown
    assert Position.of(names["kept"]).next > 0


async def test_a_repeated_event_is_waited_for_although_it_ended_before(bootstrap: Address) -> None:
    """Its end was told before it was published again."""
    event = parcel("again", 7)
    async with Client(bootstrap) as client:
        first = await client.wait(await client.publish(Lane.UPDATE, event), timeout_s=60)
        assert (first.state, first.reason) == ("closed", "")
        again = await client.publish(Lane.UPDATE, event)
        assert await client.wait(again, timeout_s=60, since=again.at_ms) == first
        answer = await client.wait(again, until="answered", timeout_s=60, since=again.at_ms)
        assert (answer.state, answer.reason) == ("accepted", "duplicate")


@PLAIN
@pytest.mark.parametrize("name", ["publish_async.py", "publish_sync.py"])
async def test_an_example_program_publishes_a_code_and_a_list_update(bootstrap: Address, name: str) -> None:
    """Complete as it stands; the people of the list are those that have just joined it."""
    shown = await done(sys.executable, str(EXAMPLES / "python" / name), str(bootstrap))
    assert [line.split()[0] for line in shown.results if not line.startswith(" ")] == ["code", "update"]
    told = [line.strip() for line in shown.results if line.startswith(" ")]
    assert [line.split()[0] in ("running", "closed", "accepted") for line in told] == [True] * 3, told
    assert told[1] == "accepted {'members': 2}"


async def test_events_of_a_pipe_are_followed_to_their_end(bootstrap: Address) -> None:
    """One a line on standard input: the name of each, and its steps until it closes; a refused one decides the status."""
    lines = [json.dumps(parcel("pipe", number)) for number in range(3)]
    lines.append(json.dumps(parcel("pipe", 3) | {"expirytme": "x"}))
    command = (*FANFARE, "publish", "-f", "-", "--lane", "update", "--follow", "--bootstrap", str(bootstrap))
    status, shown, said = await ended(bootstrap, command, "\n".join(lines).encode())
    assert status == 1, said
    assert [line.split()[2] for line in shown if line.startswith("published")] == [f"pipe-{n}" for n in range(4)]
    assert {line.split()[3] for line in shown if line.startswith("closed")} == {f"pipe-{n}" for n in range(3)}
    assert [line.split()[3] for line in shown if line.startswith("refused")] == ["pipe-3"]


async def test_many_events_are_counted_and_not_followed_unasked(bootstrap: Address, tmp_path: Path) -> None:
    """A file of more than a few: every name, and the sum. A line that is no event ends it, after those before it."""
    file = tmp_path / "many.jsonl"
    lines = [json.dumps(parcel("many", number)) for number in range(300)]
    file.write_text("\n".join([*lines, '{"id"', lines[0]]))
    command = (*FANFARE, "publish", "-f", str(file), "--lane", "update", "--bootstrap", str(bootstrap))
    status, shown, said = await ended(bootstrap, command)
    assert status == 1
    assert [line.split()[2] for line in shown] == [f"many-{number}" for number in range(300)]
    assert "300 published in " in said
    assert "many.jsonl:301: " in said


async def test_a_dry_run_says_all_and_sends_nothing(bootstrap: Address, tmp_path: Path) -> None:
    """Each fault with its place, as the registry stands; afterwards the id is still free."""
    file = tmp_path / "array.json"
    wrong = parcel("dry", 2) | {"expirytme": "x"}
    wrong["data"] = {**wrong["data"], "params": {"parcel": "1"}}
    file.write_text(json.dumps([parcel("dry", 1), wrong]))
    command = (*FANFARE, "publish", "-f", str(file), "--lane", "update", "--bootstrap", str(bootstrap))
    status, shown, said = await ended(bootstrap, (*command, "--dry-run"))
    assert (status, shown[0].split()) == (1, ["sound", "dry-1"])
    assert [line.split()[0] for line in shown[1:]] == ["faulty", "/expirytme", "/data/params"], shown
    assert "2 events looked at, 1 of them faulty; nothing was published" in said
    status, shown, _ = await ended(bootstrap, (*command, "--follow"))
    assert (status, [line for line in shown if "duplicate" in line]) == (1, [])


async def test_a_pipe_that_stays_open_is_published_as_it_comes(bootstrap: Address) -> None:
    """An event is sent, and its name shown, before the next line is there; Ctrl-C ends the waiting for it."""
    pipe = asyncio.subprocess.PIPE
    command = (*FANFARE, "publish", "-f", "-", "--lane", "update", "--bootstrap", str(bootstrap))
    process = await asyncio.create_subprocess_exec(
        *command, env=environment(bootstrap=bootstrap), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            for number in range(2):
                process.stdin.write(json.dumps(parcel("slow", number)).encode() + b"\n")
                assert f"slow-{number}".encode() in await process.stdout.readline()
            process.send_signal(signal.SIGINT)
            assert await process.wait() == INTERRUPTED
            assert process.stderr is not None
            assert await process.stderr.read() == b""
    finally:
        if process.returncode is None:
            process.kill()
        process.stdin.close()


async def test_an_interrupted_follower_ends(bootstrap: Address) -> None:
    """Ctrl-C, while a list that nobody is on is followed, or a phone that is off."""
    shown: Terminal
    options = ("--fresh", "--follow", "--bootstrap", str(bootstrap))
    offer = ("publish", "-f", str(EXAMPLES / "flight-delay.json"), "--lane", Lane.UPDATE.word)
    async with terminal(*FANFARE, *offer, *options, **variables_of(as_business(bootstrap, "airline-ua"))) as shown:
        await shown.shows("published")
        shown.interrupt()
        assert await shown.ended(deadline_s=15) in (0, 130)
