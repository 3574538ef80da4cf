"""`python -m tests.faults.alerts`: each alert fires for its fault and clears after it, in a real Prometheus beside a real stack.

The rules are those of deploy/prometheus with windows and `for:` shortened by --factor in a generated copy (thresholds stay),
so that all are shown in some minutes. What --shipped names is shown by the rules as they are as well. Needs
Prometheus: `.ci/get-prometheus` gets Debian's without installing it. Ends with a table and one line of JSON; 1 if an alert did
not fire, did not clear, or fired without a cause.
"""

import argparse
import asyncio
import dataclasses
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from streams.commands.terminal import columns
from streams.runtime import log
from tests.faults.alerting import Alerting, Shown
from tests.faults.planted import FAULTS
from tests.faults.prometheus import PrometheusMissingError, found

FACTOR: Final = 10.0
_NAMES: Final = tuple(dict.fromkeys(planted.alert for planted in FAULTS))


def main(arguments: Sequence[str] | None = None) -> int:
    """Show the alerts; 1 if one of them did not do what it should, 2 without a Prometheus."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults.alerts", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", action="append", choices=_NAMES, metavar="NAME", help="only this alert; may be repeated"
    )
    parser.add_argument("--factor", type=_factor, default=FACTOR, help=f"how much shorter windows are ({FACTOR:g})")
    parser.add_argument(
        "--shipped",
        action="append",
        choices=_NAMES,
        metavar="NAME",
        help="show this alert by the rules as they are, too (FanfareHeartbeatLate needs some two minutes)",
    )
    parser.add_argument("--prometheus", type=Path, help="the program, if it is not on the path")
    parser.add_argument(
        "--panels", type=Path, metavar="FILE", help="draw the dashboard of the run into this page of HTML"
    )
    parser.add_argument("--data", type=Path, help="keep everything here; else a temporary folder")
    asked = parser.parse_args(arguments)
    log.configure(level="critical", program="alerts")
    try:
        program = found(asked.prometheus)
    except PrometheusMissingError as error:
        print(error, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="fanfare-alerts-") as folder:
        chosen = [planted for planted in FAULTS if not asked.only or planted.alert in asked.only]
        alerting = Alerting(
            program, asked.data or Path(folder), chosen, asked.factor, asked.shipped or (), asked.panels
        )
        asyncio.run(alerting.run(lambda line: print(line, file=sys.stderr, flush=True)))
    print(table(alerting.shown, asked.factor))
    shown = [dataclasses.asdict(one) for one in alerting.shown]
    print(json.dumps({"factor": asked.factor, "alerts": shown, "switched_off": alerting.switched_off}))
    return 0 if all(one.good for one in alerting.shown) else 1


def table(shown: Sequence[Shown], factor: float) -> str:
    """What was shown, a line for each alert; seconds."""
    rows: list[tuple[str, ...]] = [
        ("alert", "rules", "pending", "firing", "clear", "run queue", "fired along", "fault")
    ]
    rows += [
        (
            each.alert,
            each.rules,
            *(_seconds(value) for value in (each.pending_s, each.firing_s, each.clear_s)),
            f"{each.run_queue:.1f}",
            ", ".join([*each.along, *(f"UNEXPECTED {name}" for name in each.unexpected)]) or "-",
            each.fault,
        )
        for each in shown
    ]
    return "\n".join(
        [
            f"Rules `scaled`: windows and for: {factor:g} times shorter, scraped every second; thresholds as shipped.",
            "Seconds from the fault to pending and firing, from its healing to clear.",
            "A run queue far above the cores makes codes late: FanfareHandoffLate then fires rightly.",
            *columns(rows),
        ]
    )


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _factor(word: str) -> float:
    factor = float(word)
    if factor < 1:
        raise argparse.ArgumentTypeError("a factor below 1 would make windows longer")
    return factor


if __name__ == "__main__":
    sys.exit(main())
