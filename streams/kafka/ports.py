"""TCP ports on loopback: free ones, or a sentence about the one that is not."""

import contextlib
import secrets
import socket
from collections.abc import Sequence
from typing import Final

from streams.kafka.cluster_errors import PortTakenError
from streams.kafka.properties import HOST

_LOWEST: Final = 15_000
_HIGHEST: Final = 32_000
"""Below the range (32768 on Linux) from which the system takes ports for outgoing connections: there, a
client that keeps dialling a dead broker's port sooner or later gets that port as its own, connects to
itself, and the broker cannot come back."""

_TRIES: Final = 1_000


def free_ports(count: int) -> list[int]:
    """`count` different ports that nothing listens on at this moment."""
    with contextlib.ExitStack() as held:
        found: list[int] = []
        for _ in range(_TRIES):
            if len(found) == count:
                return found
            port = _LOWEST + secrets.randbelow(_HIGHEST - _LOWEST)
            with contextlib.suppress(OSError):
                held.enter_context(_listener(port))
                found.append(port)
    raise PortTakenError(f"No {count} free ports between {_LOWEST} and {_HIGHEST} on {HOST}.")


def demand_free(ports: Sequence[int]) -> None:
    """Raise PortTakenError if something listens on one of `ports`."""
    for port in ports:
        try:
            _listener(port).close()
        except OSError as error:
            raise PortTakenError(
                f"Port {port} on {HOST} is taken ({error.strerror}); name another, or let Fanfare choose."
            ) from error


def _listener(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        # As the broker does: a port whose last connections linger in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener
