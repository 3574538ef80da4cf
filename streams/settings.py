"""The one module that reads the environment.

Places that the operating system decides (cache folder, Java) are functions, asked when they are
needed. Empty variables count as unset, as the XDG base directory specification has it.
"""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Where downloads are kept: `$XDG_CACHE_HOME/fanfare`, or `~/.cache/fanfare`.

    Relative values are ignored, as the XDG base directory specification demands.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if named.startswith("/") else Path.home() / ".cache"
    return base / "fanfare"


def java_home() -> Path | None:
    """The Java installation that `JAVA_HOME` names, if it names one."""
    named = os.environ.get("JAVA_HOME", "")
    return Path(named) if named else None


def kafka_bootstrap() -> str | None:
    """`FANFARE_KAFKA_BOOTSTRAP`: the `host:port,...` of a Kafka to use instead of starting one."""
    return os.environ.get("FANFARE_KAFKA_BOOTSTRAP") or None
