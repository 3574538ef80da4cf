"""Where the processes of one stack listen: the ports of the settings, or free ones that no other stack has.

Several stacks share a machine in tests and in a demo beside a running ``fanfare dev``. Free ports are drawn below the range
that the system takes for outgoing connections (``streams/runtime/ports.py`` has the reason).
"""

from typing import Any

from schemas.lanes import Lane
from streams.dev.kafka.errors import PortTakenError
from streams.dev.kafka.properties import HOST
from streams.runtime.ports import OURS, PortRange, demand_free
from streams.runtime.settings import Settings


def free_places(slots: int, among: PortRange = OURS) -> dict[str, Any]:
    """Fields of :class:`Settings` that put every listener of a stack on a port that is free now."""
    webhook, metrics_webhook, metrics_ledger, intake, metrics_intake, *gateways = among.ports(5 + len(Lane))
    urls = {f"gateway_{lane.word}": f"http://{HOST}:{port}" for lane, port in zip(Lane, gateways, strict=True)}
    return {
        **urls,
        "webhook_port": webhook,
        "webhook_url": f"http://{HOST}:{webhook}/v1/reports",
        "webhook_metrics_port": metrics_webhook,
        "ledger_metrics_port": metrics_ledger,
        "intake_port": intake,
        "intake_metrics_port": metrics_intake,
        "worker_metrics_port": among.base([lane + 100 * slot for lane in Lane for slot in range(slots)]),
        "gateway_metrics_port": among.base([lane.rules.gateway_place for lane in Lane]),
    }


def demand_places(settings: Settings, slots: int) -> None:
    """Raise ``PortTakenError`` if a listener's port is in use: another stack may be running."""
    try:
        demand_free(ports_of(settings, slots))
    except PortTakenError as error:
        raise PortTakenError(f"{error} Is a stack running already? `--free-ports` starts another beside it.") from error


def ports_of(settings: Settings, slots: int) -> list[int]:
    """Every port that the processes of a stack listen on."""
    urls = [settings.gateway_url(lane) for lane in Lane]
    return [
        *(int(url.rstrip("/").rpartition(":")[2]) for url in urls),
        settings.webhook_port,
        settings.webhook_metrics_port,
        settings.ledger_metrics_port,
        settings.intake_port,
        settings.intake_metrics_port,
        *(settings.gateway_metrics(lane) for lane in Lane),
        *(in_slot(settings, slot).worker_metrics(lane) for lane in Lane for slot in range(slots)),
    ]


def in_slot(settings: Settings, slot: int) -> Settings:
    """The settings as the worker of that slot reads them."""
    return settings.model_copy(update={"slot": slot})
