"""Publishing without Python: the shell lines of ``deploy/dev/examples/README.md``, run as they stand against a running stack."""

import asyncio
import dataclasses
import re
import shlex
import shutil
from collections import Counter
from pathlib import Path

from schemas import topics
from schemas.wire.cloudevents import decode_status
from streams.kafka.distribution import obtain_distribution
from streams.kafka.jars import obtain_jars, read_lock
from streams.kafka.scan import follow
from streams.local.stack import StackPlan, running
from streams.settings import cache_folder
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


def script_of(bootstrap: str, tools: Path) -> tuple[str, int]:
    """The README's shell lines for a Kafka that is elsewhere, and how many of them publish; kcat's only where there is one."""
    chosen = [command for command in COMMANDS if "kcat" not in command or shutil.which("kcat")]
    chosen = [command for command in chosen if "fanfare " not in command and "-C " not in command]
    lines = [f"cd {EXAMPLES}", f"PATH={tools}:$PATH", *chosen]
    return "\n".join(lines).replace("127.0.0.1:9092", bootstrap), sum("requests.update" in line for line in chosen)


async def accepted(bootstrap: str, wanted: int) -> Counter[str]:
    """What plan said about events published by hand, once it has spoken about ``wanted`` of them."""
    found: Counter[str] = Counter()
    async with asyncio.timeout(20):
        async for record in follow(bootstrap, topics.status("shop-parcelo"), since_ms=0):
            told = decode_status(record.value or b"")
            if told is not None and told.id.startswith("by-hand-") and told.state in ("accepted", "refused"):
                found[told.reason or told.state] += 1
            if found.total() == wanted:
                return found
    return found


async def test_a_shell_is_enough(tmp_path: Path) -> None:
    """Every line publishes an event that is accepted, with a content type and without, whatever hashes the key."""
    await install_console_producer(tmp_path)
    plan = StackPlan(data=tmp_path / "data", free_ports=True, gateway_options=("--profile", "online"))
    async with running(plan, say=print) as stack:
        script, published = script_of(stack.bootstrap, tmp_path)
        assert published == (4 if shutil.which("kcat") else 2)
        await done("bash", "-euo", "pipefail", "-c", script)
        assert await accepted(stack.bootstrap, published) == {"accepted": published}
