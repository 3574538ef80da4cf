"""`python -m tests.faults.run`: kills, pauses and doubles of every process under load, then the auditor; `make faults`.

With --alerts, which takes the options of `python -m tests.faults.alerts` (--alerts --help), it shows each alert
firing for its fault and clearing after it instead: a campaign's own faults follow one another too fast for that.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from pathlib import Path

from streams.runtime import log
from tests.faults import alerts
from tests.faults.campaign import Campaign
from tests.faults.deck import FAULTS, cards


def main() -> int:
    """Run one campaign; 1 if a promise was broken. The last line is JSON."""
    if "--alerts" in sys.argv[1:]:
        return alerts.main([word for word in sys.argv[1:] if word != "--alerts"])
    parser = argparse.ArgumentParser(prog="python -m tests.faults.run", description=__doc__)
    parser.add_argument("--faults", type=int, default=110, help="how many faults (110)")
    parser.add_argument("--per-second", type=int, default=300, help="messages a second over three lanes (300)")
    parser.add_argument("--every", type=float, default=2.5, help="seconds between two faults (2.5)")
    parser.add_argument("--seed", type=int, default=1, help="decides which fault hits which process")
    parser.add_argument("--nodes", type=int, default=1, choices=(1, 3), help="Kafka nodes")
    parser.add_argument("--slots", type=int, default=2, help="workers a lane (2)")
    parser.add_argument("--no-binding", action="store_true", help="without the lists whose limit binds")
    parser.add_argument("--kinds", type=_kinds, default=(), help=f"only these, commas between: {', '.join(FAULTS)}")
    parser.add_argument("--data", type=Path, help="keep everything here; else a temporary folder")
    asked = parser.parse_args()
    log.configure(level="critical", program="faults")
    with tempfile.TemporaryDirectory(prefix="fanfare-faults-") as folder:
        campaign = Campaign(
            seed=asked.seed,
            faults=asked.faults,
            per_second=asked.per_second,
            every_s=asked.every,
            data=asked.data or Path(folder),
            nodes=asked.nodes,
            slots=asked.slots,
            binding=not asked.no_binding,
            deck=tuple(card for card in cards(asked.nodes) if card.kind in asked.kinds),
        )
        asyncio.run(campaign.run(lambda line: print(line, file=sys.stderr, flush=True)))
    assert campaign.audit is not None
    for violation in campaign.audit.violations:
        print(f"{violation.invariant} {violation.name} {violation.where}: {violation.sentence}")
    print(json.dumps(campaign.summary()))
    return 1 if campaign.audit.total else 0


def _kinds(words: str) -> tuple[str, ...]:
    """The kinds of faults among ``words``; ``ValueError`` for a word that is none."""
    chosen = tuple(words.split(","))
    if unknown := sorted(set(chosen) - set(FAULTS)):
        raise ValueError(f"there is no fault {', '.join(unknown)}")
    return chosen


if __name__ == "__main__":
    sys.exit(main())
