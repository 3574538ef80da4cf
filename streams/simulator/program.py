"""The life of one listener process: recall, listen, report, stop.

Its log folder is its own: ``<folder>/gateway/<lane>``. Stops at SIGTERM and SIGINT.
"""

import asyncio
import contextlib
import gc
from pathlib import Path
from typing import Final

import msgspec

from schemas import topics
from schemas.lanes import Lane
from streams.kafka.tail import REGISTRY_WAIT_MS, Tail
from streams.runtime import clock, zeroes
from streams.runtime.data_format import GATEWAY_LOG, KeptError, open_kept
from streams.runtime.events import Event
from streams.runtime.health import Health
from streams.runtime.log import log
from streams.runtime.settings import Settings
from streams.runtime.signals import stop_asked
from streams.runtime.signing_secrets import signing_secrets
from streams.simulator.faults import Fault, parse
from streams.simulator.listener import Plan, Station
from streams.simulator.phone_users import PROFILES, Profile
from streams.simulator.registry import Registered
from streams.simulator.server import Listener

_CATCH_UP_S: Final = 30.0


class OptionError(ValueError):
    """An option that cannot be used; the sentence says which and why."""


def log_folder(data_dir: Path, lane: Lane) -> Path:
    """Where the listener of ``lane`` keeps its log; the auditor reads it there."""
    return data_dir / "gateway" / lane.word


def plan_of(settings: Settings, lane: Lane, *, seed: int, profile: str = "real", faults: Path | None = None) -> Plan:
    """Returns the plan of the listener of ``lane``; raises :class:`OptionError`. ``profile`` is a name or a JSON file.

    Its folder is marked with the format of its log, and refused if that is another release's.
    """
    folder = log_folder(settings.data_dir, lane)
    try:
        open_kept(folder, GATEWAY_LOG)
    except KeptError as error:
        raise OptionError(str(error)) from error
    return Plan(
        name=lane.word,
        folder=folder,
        seed=seed,
        profile=profile_of(profile),
        limits=settings.limits,
        webhook_url=settings.webhook_url,
        webhook_secrets=signing_secrets(settings.webhook_secret),
        address_keys=settings.address_book,
        private=settings.private_seal_keys,
        time_scale=settings.time_scale,
        faults=_faults(faults),
    )


async def serve(plan: Plan, told: Registered | None, settings: Settings, *, lane: Lane, port: int) -> None:
    """Run until told to stop. Raises ``OSError`` if a port is taken or the log cannot be written.

    ``told`` is what is registered; None follows Kafka's `registry` topic, and nothing listens before it was read to its end.
    """
    if told is not None:
        await _serve(plan, told, settings, lane=lane, port=port)
        return
    registered = Registered()
    tail = Tail(settings.kafka, topics.REGISTRY, registered.apply, wait_ms=REGISTRY_WAIT_MS)
    await tail.start()
    try:
        await tail.caught_up(_CATCH_UP_S)
        await _serve(plan, registered, settings, lane=lane, port=port)
    finally:
        await tail.stop()


async def _serve(plan: Plan, registered: Registered, settings: Settings, *, lane: Lane, port: int) -> None:
    station = Station(plan, registered, clock.now_ms)
    zeroes.gateway(lane)
    # What was recalled lives as long as the process: keep the collector from walking over it.
    gc.collect()
    gc.freeze()
    listener = Listener(station, "127.0.0.1", port)
    stop = stop_asked()
    async with Health(settings, "gateway", port=settings.gateway_metrics(lane), live={}, ready={}):
        await listener.start()
        reporting = asyncio.create_task(station.run())
        waiting = asyncio.create_task(stop.wait())
        try:
            done, _ = await asyncio.wait({reporting, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if reporting in done:
                reporting.result()
        finally:
            await listener.stop()
            reporting.cancel()
            waiting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reporting
            station.close()
    log(Event.STOPPED, component="gateway")


def profile_of(name: str) -> Profile:
    """Returns the profile of that name, or of that JSON file; :class:`OptionError` for what is neither."""
    if name in PROFILES:
        return PROFILES[name]
    try:
        return msgspec.json.decode(Path(name).read_bytes(), type=Profile)
    except OSError:
        known = ", ".join(PROFILES)
        raise OptionError(f"profile {name!r} is neither one of {known} nor a file that can be read") from None
    except msgspec.MsgspecError as error:
        raise OptionError(f"profile {name}: {error}") from error


def _faults(path: Path | None) -> tuple[Fault, ...]:
    if path is None:
        return ()
    try:
        return tuple(parse(path.read_bytes()))
    except OSError as error:
        raise OptionError(f"{path}: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise OptionError(f"{path}: {error}") from error
