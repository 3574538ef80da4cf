"""Ports of loopback that are given away before anything listens on them."""

import socket

import pytest

from streams.dev.kafka.errors import PortTakenError
from streams.dev.kafka.properties import HOST
from streams.dev.stack.ports import free_places, ports_of
from streams.runtime.ports import OURS, PortRange, demand_own
from streams.runtime.settings import load


def test_no_port_is_given_twice() -> None:
    """Two stacks and a Kafka of three nodes, drawn from so few ports that they would meet: each listener has its own."""
    few = PortRange(31_000, 31_120)
    drawn = [port for _ in range(2) for port in ports_of(load(**free_places(2, few)), 2)] + few.ports(6)
    assert len(set(drawn)) == len(drawn) == 2 * 17 + 6


def test_ports_run_out_with_a_sentence() -> None:
    """Given ports are not given again, whatever listens on them."""
    with pytest.raises(PortTakenError, match="free ports between 31200 and 31203"):
        PortRange(31_200, 31_203).ports(4)


def test_a_base_is_free_at_its_offsets() -> None:
    """Not itself: nothing is to listen there."""
    base = OURS.base((1, 101))
    with socket.create_server((HOST, base + 1)), socket.create_server((HOST, base + 101)):
        demand_own("nobody", (HOST, base))
        with pytest.raises(
            PortTakenError, match=rf"port {base + 101} on {HOST} is in use: is the webhook running already"
        ):
            demand_own("the webhook", (HOST, base), (HOST, base + 101))


def test_a_host_that_is_not_here_is_told() -> None:
    """192.0.2.1 belongs to documentation (RFC 5737) and to no machine."""
    with pytest.raises(PortTakenError, match=r"intake cannot listen on port 8830 of 192\.0\.2\.1: Cannot assign"):
        demand_own("intake", ("192.0.2.1", 8830))
