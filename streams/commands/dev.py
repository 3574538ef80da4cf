"""`fanfare dev`: everything on loopback until Ctrl-C."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from streams import __version__
from streams.commands.stacks import (
    NOT_FOR_PRODUCTION,
    REGISTRY_DEFAULT,
    STACK_FAULTS,
    FreePortsOption,
    Nodes,
    NodesOption,
    RegistryOption,
    RunningKafkaOption,
    addresses,
    command_name,
    rows,
    shown,
    write_exports,
)
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.dev.stack.stack import Stack, StackPlan, running
from streams.runtime import clock
from streams.runtime.settings import kafka_bootstrap, load
from streams.runtime.signals import until_signalled
from streams.simulator.phone_users import PROFILES, REAL_PROFILE
from streams.simulator.program import OptionError, profile_of

app = application()


@app.command()
def main(
    *,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where everything is kept.", show_default=".data")
    ] = None,
    bootstrap: RunningKafkaOption = None,
    nodes: NodesOption = Nodes.ONE,
    slots: Annotated[int, typer.Option(min=1, max=4, metavar="N", help="Workers a lane; they share its shards.")] = 1,
    free_ports: FreePortsOption = False,
    registry: RegistryOption = REGISTRY_DEFAULT,
    profile: Annotated[
        str,
        typer.Option(
            metavar="NAME|FILE",
            help="How people behave: real (some phones are off, wrong or answer STOP), online (all are reached at once), "
            "or a JSON file.",
        ),
    ] = REAL_PROFILE,
    output: OutputOption = "text",
) -> None:
    """Run everything on this machine, on loopback; Ctrl-C stops it in order.

    Kafka, the simulated gateway with its phones, webhook, ledger and a worker a lane. What ends unasked is started again.
    What is kept in the data folder is gone on with the next time; delete the folder to start afresh.
    """
    try:
        plan = StackPlan(
            data=load(data_dir=data).data_dir,
            bootstrap=bootstrap or kafka_bootstrap(),
            nodes=int(nodes),
            slots=slots,
            free_ports=free_ports,
            registry=registry,
            gateway_options=gateway_options(profile),
        )
        asyncio.run(_run(plan, output))
    except (*STACK_FAULTS, OptionError) as error:
        refuse("dev", str(error))
    say("stopped; what was published is kept")


def gateway_options(profile: str) -> tuple[str, ...]:
    """Returns the options of the simulated gateway; :class:`OptionError` for a profile that it would refuse."""
    profile_of(profile)
    return ("--profile", profile if profile in PROFILES else str(Path(profile).absolute()))


async def _run(plan: StackPlan, output: str) -> None:
    await until_signalled(_serve(plan, output))


async def _serve(plan: StackPlan, output: str) -> None:
    begun_ms = clock.monotonic_ms()
    async with running(plan, say=say) as stack:
        seconds = (clock.monotonic_ms() - begun_ms) / 1000
        row = {"seconds": round(seconds, 1), "bootstrap": stack.bootstrap, "addresses": list(addresses(stack))}
        show(row, output, "\n".join(page(stack, seconds=seconds)))
        try:
            await asyncio.Event().wait()
        finally:
            say("stopping, the workers first")


def page(stack: Stack, *, seconds: float) -> Iterator[str]:
    """Yields the lines that a person needs to know when the stack runs."""
    yield ""
    yield f"fanfare {__version__} is up after {seconds:.1f} s. {NOT_FOR_PRODUCTION}"
    yield ""
    yield from rows(list(addresses(stack)))
    yield ""
    yield "  Next, in another terminal:"
    fanfare = command_name()
    exports = write_exports(stack)
    if exports is not None:
        yield f"    . {shown(exports)}"
    examples = stack.plan.registry.absolute() / "examples"
    if stack.plan.registry == REGISTRY_DEFAULT:
        yield f"    {fanfare} publish -f {shown(examples)}/parcel-delivered.json --fresh"
        yield f"    {fanfare} publish -f {shown(examples)}/login-code.json --fresh --seal code=123456"
        yield f"    {fanfare} source flights --limit 50"
    else:
        yield from (f"    {fanfare} publish -f {shown(each)} --fresh" for each in sorted(examples.glob("*.json")))
    yield f"    {fanfare} top"
    yield f"    {fanfare} status;  {fanfare} ledger show;  {fanfare} audit"
    yield "  Ctrl-C stops all of it and loses nothing."
