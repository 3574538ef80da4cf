"""A worker on a machine whose clock is wrong from the start: ``python -m tests.kafka.programs.shifted_worker LANE AHEAD_MS``.

Settings come from the environment.
"""

import sys

from schemas.lanes import Lane
from streams.kafka.faust_app.app import run_worker
from streams.runtime import clock, log
from streams.runtime.settings import load
from streams.worker import pipeline
from streams.worker.resources import LaneParts


def main() -> None:
    """Run until told to stop."""
    lane, ahead_ms, right_ms = Lane.of(sys.argv[1]), int(sys.argv[2]), clock.now_ms
    clock.now_ms = lambda: right_ms() + ahead_ms
    log.configure(program="worker", lane=lane.word)
    run_worker(pipeline.assembled(LaneParts(load(), lane)))


if __name__ == "__main__":
    main()
