"""`fanfare audit`: close every account from the topics, the ledger and the gateway's own logs; exit 1 if one does not close.

Owns the page: what was found by `broker/audit`, as tables of counts, violations, and one line of JSON at the end.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from broker.audit.invariants import Breach
from broker.audit.limit_checks import WINDOWS_S, nearest
from broker.audit.report import OPEN_STATES, Audit
from schemas.lanes import Lane
from streams.commands.console import BootstrapOption, configured, run
from streams.commands.terminal import OutputOption, application, columns, money, refuse, show
from streams.ledger.database import BooksError
from streams.operate.audit import audit_system
from streams.runtime import clock
from streams.runtime.settings import Settings

_RATES: Final = 5
"""So many lanes of senders are named with their busiest second."""
_LOGS: Final = "logs"
"""Folder of the processes' logs in the data folder."""

app = application()


@app.command()
def main(
    *,
    quiet: Annotated[
        bool, typer.Option("--quiet", help="Nothing more is to come: whatever is unfinished is a violation.")
    ] = False,
    canary: Annotated[
        str,
        typer.Option(metavar="CODE", help="A secret that must be found in no record and no log.", show_default=False),
    ] = "",
    also: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            metavar="PATH",
            help="A file or folder that must not hold the canary either.",
            show_default=False,
        ),
    ] = None,
    data: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the ledger and the gateway's logs.")
    ] = None,
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Close every account: each accepted message ends once, each delivered one is charged once, none comes after a STOP.

    It reads all topics, the ledger and the gateway's logs, and shares no code with the workers. A running system may be
    audited: what is open within its window is counted, and no violation. The last line is JSON; the exit status is 1 if there
    are violations.
    """
    settings = configured("audit", bootstrap, data_dir=data)
    started_ms = clock.monotonic_ms()
    try:
        found = run("audit", audit_system(settings, quiet=quiet, canary=canary, searched=_searched(settings, also)))
    except BooksError as error:
        refuse("audit", str(error))
    if output == "text":
        print("\n".join(page(found)))
    rates = nearest(found.busiest, _RATES)
    seconds = round((clock.monotonic_ms() - started_ms) / 1000, 1)
    show({**found.summary(), "rates": rates, "seconds": seconds, **_details(found, output)}, "json", "")
    if found.total:
        raise typer.Exit(1)


def _details(found: Audit, output: str) -> dict[str, Any]:
    """Returns what the page shows beside the sums, where only JSON is printed."""
    return {"states": found.states, "counts": found.counts, "violated": found.violations} if output == "json" else {}


def _searched(settings: Settings, also: list[Path] | None) -> list[Path]:
    logs = settings.data_dir / _LOGS
    return [*(also or ()), *((logs,) if logs.is_dir() else ())]


def page(found: Audit) -> Iterator[str]:
    """The tables of counts, and the violations."""
    yield from _states(found)
    yield ""
    yield from _columns((name.replace("_", " "), f"{count:,}") for name, count in sorted(found.counts.items()) if count)
    yield from _columns((f"charged, {account}", money(sum_micro)) for account, sum_micro in found.charged_micro.items())
    yield from _columns(_rates(found))
    yield ""
    if not found.total:
        yield f"No violation of any of the {max(breach.invariant for breach in Breach)} invariants: every account closes."
        yield _untold(found)
        return
    yield f"{found.total:,} violations:"
    for violation in found.violations:
        yield f"  {violation.invariant:>2} {violation.name}  {violation.where}  {violation.sentence}"
    hidden = found.total - len(found.violations)
    if hidden:
        yield f"  and {hidden:,} more of the same kinds"
    yield _untold(found)


def _untold(found: Audit) -> str:
    """Returns who was not told, for an account may close and a business be badly served all the same."""
    untold = found.untold()
    if not untold:
        return "Whatever has ended was delivered, or somebody forbade it or took it back."
    many = sum(untold.values())
    messages = f"{many:,} message" + ("" if many == 1 else "s")
    states = ", ".join(f"{count:,} {state}" for state, count in untold.items())
    asked = "`fanfare explain SOURCE ID --missed` names whom"
    return f"{messages} ended untold, as far as is known, although nobody forbade it: {states}. {asked}."


def _rates(found: Audit) -> Iterator[tuple[str, str]]:
    """The lanes of senders that came nearest to the bound of their share, and how near."""
    for number, figures in nearest(found.busiest, _RATES).items():
        spans = (f"{figures[f'worst_{s}s']:,} of {figures[f'bound_{s}s']:,} in {s} s" for s in WINDOWS_S)
        yield f"busiest, {number}", ", ".join(spans)


def _states(found: Audit) -> Iterator[str]:
    """Messages by state and lane: those that have ended, then those on their way."""
    lanes = [lane.word for lane in Lane if lane.word in found.states]
    words = {state for states in found.states.values() for state in states}
    ended = sorted(words - set(OPEN_STATES), key=found.in_state, reverse=True)
    rows = [("messages", lanes, "all")]
    rows += [_row(found, lanes, state) for state in [*ended, *(s for s in OPEN_STATES if s in words)]]
    rows.append(("all states", [f"{sum(found.states[lane].values()):,}" for lane in lanes], f"{found.accepted:,}"))
    rows.append(("  ended", [], f"{found.terminal:,}"))
    rows.append(("  open", [], f"{found.open:,}"))
    width = max(len(name) for name, _, _ in rows)
    for name, cells, total in rows:
        padded = [*cells, *[""] * (len(lanes) - len(cells)), total]
        yield f"{name:<{width}}" + "".join(f"{cell:>12}" for cell in padded)


def _row(found: Audit, lanes: list[str], state: str) -> tuple[str, list[str], str]:
    return state, [f"{found.states[lane].get(state, 0):,}" for lane in lanes], f"{found.in_state(state):,}"


def _columns(pairs: Iterable[tuple[str, str]]) -> Iterator[str]:
    return columns(pairs, right={1})
