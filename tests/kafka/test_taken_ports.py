"""A process that is started a second time says so in a sentence: its ports are the first one's."""

import socket
import subprocess
from pathlib import Path

import pytest

from streams.dev.kafka.properties import HOST
from tests.acceptance.terminal import FANFARE, ROOT, environment
from tests.conftest import RealKafka
from tests.support.secured import as_user, user_of, variables_of

PROGRAMS = {
    "this slot's worker": ("worker --lane otp", "FANFARE_WORKER_METRICS_PORT"),
    "the webhook": ("webhook", "FANFARE_WEBHOOK_METRICS_PORT"),
    "the ledger": ("ledger", "FANFARE_LEDGER_METRICS_PORT"),
    "intake": ("intake", "FANFARE_INTAKE_PORT"),
    "this gateway": ("gateway --lane otp", "FANFARE_GATEWAY_OTP"),
}
"""Who, the command, and the setting that holds its place; that of the gateway is an address."""


@pytest.mark.parametrize(("who", "command", "variable"), [(who, *rest) for who, rest in PROGRAMS.items()], ids=PROGRAMS)
def test_a_second_one_is_refused_with_its_port(
    kafka: RealKafka, tmp_path: Path, who: str, command: str, variable: str
) -> None:
    """Status 1, the port and the host, and the command that shows what runs."""
    way = as_user(kafka.bootstrap, user_of(command.replace(" --lane ", "-")))
    with socket.create_server((HOST, 0)) as first:
        port = first.getsockname()[1]
        places = {
            "FANFARE_WEBHOOK_PORT": "0",
            "FANFARE_INTAKE_METRICS_PORT": "0",
            "FANFARE_GATEWAY_METRICS_PORT": "0",
            variable: f"http://{HOST}:{port}" if command.startswith("gateway") else str(port),
        }
        done = subprocess.run(
            [*FANFARE, *command.split()],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=ROOT,
            env=environment({**variables_of(way), "FANFARE_DATA_DIR": str(tmp_path), **places}),
        )
    assert done.stderr.splitlines()[-1].endswith(
        f"port {port} on {HOST} is in use: is {who} running already? `fanfare status` shows it"
    )
    assert done.returncode == 1
