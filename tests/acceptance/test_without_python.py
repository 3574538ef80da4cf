"""Publishing without Python: the shell lines of ``deploy/dev/examples/README.md``, run as they stand against a running stack."""

import asyncio
import dataclasses
import re
import shlex
import shutil
import sys
from collections import Counter
from pathlib import Path

import pytest

from schemas import topics
from schemas.wire.cloudevents import decode_status
from streams.dev.kafka.distribution import obtain_distribution, obtain_jars, read_lock
from streams.dev.stack.stack import StackPlan, running
from streams.kafka.scan import follow
from streams.runtime.settings import cache_folder
from tests.acceptance.terminal import ROOT, done

EXAMPLES = ROOT / "deploy" / "dev" / "examples"
LOCK = Path(__file__).with_name("console_producer.lock")
COMMANDS = re.findall(r"^\$ (.*?)(?=\n\$|\n```)", (EXAMPLES / "README.md").read_text("utf-8"), re.DOTALL | re.MULTILINE)
"""What stands behind a prompt there, continued lines included."""


async def install_console_producer(folder: Path) -> None:
    """Put Kafka's ``kafka-console-producer.sh`` into ``folder``: the same class, on the Java and the jars of our broker."""
    distribution = await obtain_distribution(print)
    tools = await obtain_jars(read_lock(LOCK), cache=cache_folder() / "kafka-tools", say=print)
    whole = dataclasses.replace(distribution, class_path=(*distribution.class_path, *tools))
    script = folder / "kafka-console-producer.sh"
    script.write_text(f'#!/bin/sh\nexec {shlex.join(whole.command("org.apache.kafka.tools.ConsoleProducer"))} "$@"\n')
    script.chmod(0o755)


def install_curl(folder: Path) -> None:
    """Put a ``curl`` into ``folder`` that does as much as the README asks of it."""
    script = folder / "curl"
    script.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m tests.acceptance.curl "$@"\n')
    script.chmod(0o755)


def script_of(bootstrap: str, intake: str, tools: Path) -> tuple[str, int]:
    """The README's shell lines for a stack that is elsewhere, and how many events they publish; less those of absent tools."""
    absent = [tool for tool in ("kcat ", "java ") if not shutil.which(tool.strip())]
    chosen = [command for command in COMMANDS if not any(tool in command for tool in absent)]
    ours = re.compile(r"^PATH=|^fanfare |\| fanfare ")
    chosen = [command for command in chosen if not ours.search(command) and "-C " not in command]
    lines = [f"cd {ROOT}", f"PATH={tools}:$PATH", *chosen]
    script = "\n".join(lines).replace("127.0.0.1:9092", bootstrap).replace("127.0.0.1:8830", intake)
    return script, sum(map(_events, chosen))


def _events(command: str) -> int:
    """How many events of the shop one of the README's commands publishes."""
    if command.startswith("post -H"):
        return 1
    return command.count("event parcel-delivered ")


async def accepted(bootstrap: str, wanted: int, business: str = "shop-parcelo") -> Counter[str]:
    """What plan said about events published by hand, once it has spoken about ``wanted`` of them."""
    found: Counter[str] = Counter()
    async with asyncio.timeout(20):
        async for record in follow(bootstrap, topics.status(business), since_ms=0):
            told = decode_status(record.value or b"")
            if told is not None and told.id.startswith("by-hand-") and told.state in ("accepted", "refused"):
                found[told.reason or told.state] += 1
            if found.total() == wanted:
                return found
    return found


@pytest.mark.plain_kafka("the lines of the page name a plain Kafka")
async def test_a_shell_is_enough(tmp_path: Path) -> None:
    """Every line publishes events that are accepted: into Kafka, whatever hashes the key, and over HTTP in each mode."""
    await install_console_producer(tmp_path)
    if not shutil.which("curl"):
        install_curl(tmp_path)
    plan = StackPlan(data=tmp_path / "data", free_ports=True, gateway_options=("--profile", "online"))
    async with running(plan, say=print) as stack:
        script, published = script_of(stack.bootstrap, f"127.0.0.1:{stack.settings.intake_port}", tmp_path)
        assert published == 4 + (4 if shutil.which("kcat") else 2)
        await done("bash", "-euo", "pipefail", "-c", script)
        assert await accepted(stack.bootstrap, published) == {"accepted": published}
        if shutil.which("kcat"):
            assert await accepted(stack.bootstrap, 2, "airline-ua") == {"accepted": 2}
        if shutil.which("kcat") and shutil.which("java"):
            assert await accepted(stack.bootstrap, 1, "bank-meridian") == {"accepted": 1}
