"""``fanfare`` on a machine whose clock is wrong from the start: ``-m tests.kafka.programs.shifted AHEAD_MS COMMAND ...``."""

import sys

from streams import cli
from streams.runtime import clock


def main() -> None:
    """Run the command."""
    ahead_ms, right_ms = int(sys.argv[1]), clock.now_ms
    clock.now_ms = lambda: right_ms() + ahead_ms
    sys.argv[1:] = sys.argv[2:]
    cli.main()


if __name__ == "__main__":
    main()
