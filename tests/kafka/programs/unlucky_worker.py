"""A worker whose plan cannot judge one business: its own code raises when it looks that business up.

Run as ``python -m tests.kafka.programs.unlucky_worker LANE BUSINESS``; settings come from the environment.
"""

import sys

from schemas.lanes import Lane
from schemas.registry import Business
from streams.kafka.faust_app.app import run_worker
from streams.runtime import log
from streams.runtime.settings import load
from streams.worker import pipeline
from streams.worker.resources import LaneParts


class Unlucky(dict[str, Business]):
    """Businesses, one of which cannot be looked up."""

    def __init__(self, held: dict[str, Business], trapped: str) -> None:
        super().__init__(held)
        self._trapped = trapped

    def __contains__(self, business: object) -> bool:
        if business == self._trapped:
            raise LookupError("planted")
        return super().__contains__(business)


def main() -> None:
    """Run until told to stop."""
    lane = Lane.of(sys.argv[1])
    log.configure(program="worker", lane=lane.word)
    parts = LaneParts(load(), lane)
    parts.registry.businesses = Unlucky(parts.registry.businesses, sys.argv[2])
    run_worker(pipeline.assembled(parts))


if __name__ == "__main__":
    main()
