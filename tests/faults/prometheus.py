"""A real Prometheus beside a running stack, with the rules and the scrape configuration of ``deploy/prometheus``.

Ports are those of the stack. A *factor* above 1 makes every window and every ``for:`` that many times shorter in a generated
copy, and scrapes every second, so that an alert fires and clears in seconds; thresholds stay as they are.
"""

import asyncio
import contextlib
import re
import shutil
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import yaml

from streams.operate.scrape import processes
from streams.runtime.child import Child
from streams.runtime.ports import free_ports
from streams.runtime.settings import Settings
from tests.support.programs import debian_program, running

DEPLOY: Final = Path(__file__).parents[2] / "deploy" / "prometheus"
HOST: Final = "127.0.0.1"
_READY_S: Final = 60
_ASK_S: Final = 0.2
_SAMPLES: Final = 4
"""A window of rules holds at least so many scrapes: a rate needs two, and one may be late."""
_MS: Final = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_WINDOW: Final = re.compile(r"\[(\d+)(ms|s|m|h|d)\]")
_SPAN: Final = re.compile(r"(\d+)(ms|s|m|h|d)")


class PrometheusMissingError(Exception):
    """There is no Prometheus to start, or it does not start: the sentence says what to do."""


def found(named: Path | None) -> Path:
    """The program: ``named``, or Debian's; :class:`PrometheusMissingError` if there is none."""
    path = shutil.which(str(named)) if named else debian_program("prometheus")
    if path is None:
        raise PrometheusMissingError(
            f"There is no {named or 'prometheus on the path'}: .ci/get-prometheus gets Debian's package without installing it (or"
            " apt-get install prometheus; its service may stay off), or name the program with --prometheus."
        )
    return Path(path)


def scaled(rules: dict[str, Any], factor: float, *, scrape_ms: int) -> dict[str, Any]:
    """A rule file with windows and ``for:`` divided by ``factor``; a window keeps room for four scrapes."""
    copy: dict[str, Any] = {"groups": []}
    for group in rules["groups"]:
        copied = [_scaled_rule(rule, factor, _SAMPLES * scrape_ms) for rule in group["rules"]]
        copy["groups"].append({**group, "rules": copied})
    return copy


def _scaled_rule(rule: Mapping[str, Any], factor: float, floor_ms: int) -> dict[str, Any]:
    def window(match: re.Match[str]) -> str:
        return f"[{max(int(_ms(match) / factor), floor_ms)}ms]"

    copy = {**rule, "expr": _WINDOW.sub(window, rule["expr"])}
    if "for" in rule:
        span = _SPAN.fullmatch(rule["for"])
        assert span is not None, rule["for"]
        copy["for"] = f"{int(_ms(span) / factor)}ms"
    return copy


def _ms(match: re.Match[str]) -> int:
    return int(match[1]) * _MS[match[2]]


def on_ports(config: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The scrape configuration with the ports of ``settings`` in place of the fixed ones, which stand in it."""
    usual = Settings.model_construct()
    fixed, own = processes(usual), processes(settings)
    moved = {
        f"{usual.metrics_host}:{then.port}": f"{settings.metrics_host}:{now.port}"
        for then, now in zip(fixed, own, strict=True)
    }
    jobs = [
        {
            **job,
            "static_configs": [{"targets": [moved[one] for each in job["static_configs"] for one in each["targets"]]}],
        }
        for job in config["scrape_configs"]
    ]
    return {**config, "scrape_configs": jobs}


def write_configuration(folder: Path, settings: Settings, *, factor: float) -> Path:
    """Write what Prometheus reads into ``folder``; gives the file to start it with. A factor of 1 changes the ports alone."""
    folder.mkdir(parents=True, exist_ok=True)
    config = on_ports(_read(DEPLOY / "prometheus.yml"), settings)
    if factor != 1:
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for name in config["rule_files"]:
        rules = _read(DEPLOY / name)
        text = yaml.safe_dump(rules if factor == 1 else scaled(rules, factor, scrape_ms=1_000), sort_keys=False)
        (folder / name).write_text(text, "utf-8")
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    return path


class Prometheus:
    """One that runs; made by :func:`watching`."""

    def __init__(self, address: str, session: aiohttp.ClientSession) -> None:
        self.address = address
        self._session = session

    async def alerts(self) -> dict[str, str]:
        """Alert to ``pending`` or ``firing``; one that is neither is left out."""
        states: dict[str, str] = {}
        for alert in (await self._get("/api/v1/alerts"))["alerts"]:
            name = alert["labels"]["alertname"]
            states[name] = max(alert["state"], states.get(name, ""), key=("", "pending", "firing").index)
        return states

    async def ready(self) -> bool:
        """Whether it serves."""
        try:
            async with self._session.get(f"{self.address}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def _get(self, path: str) -> dict[str, Any]:
        async with self._session.get(self.address + path) as answer:
            body: dict[str, Any] = await answer.json()
        assert body["status"] == "success", body
        found: dict[str, Any] = body["data"]
        return found


@contextlib.asynccontextmanager
async def watching(program: Path, folder: Path, settings: Settings, *, factor: float) -> AsyncIterator[Prometheus]:
    """Lend a Prometheus that watches the processes of ``settings``; everything that it writes is in ``folder``."""
    config = write_configuration(folder, settings, factor=factor)
    (port,) = free_ports(1)
    command = (
        *(str(program), f"--config.file={config}", f"--storage.tsdb.path={folder / 'series'}"),
        *(f"--web.listen-address={HOST}:{port}", "--log.level=warn"),
    )
    async with (
        running(command, folder / "prometheus.log") as child,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
    ):
        lent = Prometheus(f"http://{HOST}:{port}", session)
        await _serving(lent, child, folder / "prometheus.log")
        yield lent


async def _serving(prometheus: Prometheus, child: Child, log: Path) -> None:
    try:
        async with asyncio.timeout(_READY_S):
            while not await prometheus.ready():
                if child.status is not None:
                    raise PrometheusMissingError(f"Prometheus does not start: {log.read_text('utf-8').strip()}")
                await asyncio.sleep(_ASK_S)
    except TimeoutError:
        raise PrometheusMissingError(f"Prometheus was not ready after {_READY_S} s; see {log}") from None


def _read(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return read
