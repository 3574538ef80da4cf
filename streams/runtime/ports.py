"""TCP ports on loopback: free ones, or a sentence about the one that is not."""

import errno
import secrets
import socket
from collections.abc import Iterable, Sequence
from typing import Final

from streams.dev.kafka.errors import PortTakenError
from streams.dev.kafka.properties import HOST

_TRIES: Final = 1_000


class PortRange:
    """Ports that are given away once each.

    Nothing listens on a port between its drawing and the start of the process that it is for, some seconds later; what is
    drawn in between (Kafka's ports after those of the workers) must be another one.
    """

    def __init__(self, lowest: int, highest: int) -> None:
        """Those from `lowest` to below `highest`."""
        self._lowest = lowest
        self._highest = highest
        self._given: set[int] = set()

    def ports(self, count: int) -> list[int]:
        """`count` different ports that nothing listens on at this moment."""
        return [self.base((0,)) for _ in range(count)]

    def base(self, offsets: Sequence[int]) -> int:
        """A port such that nothing listens on those at `offsets` above it; PortTakenError if there is none."""
        for _ in range(_TRIES):
            base = self._lowest + secrets.randbelow(self._highest - self._lowest)
            ports = {base + offset for offset in offsets}
            if not ports & self._given and all_free(ports):
                self._given.update(ports)
                return base
        raise PortTakenError(f"No {len(offsets)} free ports between {self._lowest} and {self._highest} on {HOST}.")


OURS: Final = PortRange(15_000, 32_000)
"""Below the range (32768 on Linux) from which the system takes ports for outgoing connections: there, a
client that keeps dialling a dead broker's port sooner or later gets that port as its own, connects to
itself, and the broker cannot come back."""


def free_ports(count: int) -> list[int]:
    """`count` different ports that nothing listens on at this moment and that this process has not given before."""
    return OURS.ports(count)


def all_free(ports: Iterable[int]) -> bool:
    """Returns whether nothing listens on any of `ports`."""
    try:
        demand_free(ports)
    except PortTakenError:
        return False
    return True


def demand_free(ports: Iterable[int]) -> None:
    """Raise PortTakenError if something listens on one of `ports`."""
    for port in ports:
        try:
            _listener(HOST, port).close()
        except OSError as error:
            raise PortTakenError(
                f"Port {port} on {HOST} is taken ({error.strerror}); name another, or let Fanfare choose."
            ) from error


def demand_own(who: str, *places: tuple[str, int]) -> None:
    """Raise PortTakenError if `who` cannot listen at one of its hosts and ports: most often it runs there already."""
    for host, port in places:
        try:
            _listener(host, port).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                sentence = f"port {port} on {host} is in use: is {who} running already? `fanfare status` shows it"
            else:
                sentence = f"{who} cannot listen on port {port} of {host}: {error.strerror or error}"
            raise PortTakenError(sentence) from error


def _listener(host: str, port: int) -> socket.socket:
    family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = socket.socket(family, kind)
    try:
        # As the broker does: a port whose last connections linger in TIME_WAIT is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1)
    except OSError:
        listener.close()
        raise
    return listener
