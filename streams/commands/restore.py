"""`fanfare restore`: puts a backup into an empty Kafka."""

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.console import BootstrapOption, configured, run
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.operate.backup import BackupError
from streams.operate.restore import Restored, restore
from streams.runtime.own_secrets import with_own_secrets
from streams.runtime.settings import Settings

app = application()


@app.command()
def main(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="What `fanfare backup` wrote.", show_default=False)],
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Restore the backup in DIR into an empty Kafka, before any process is started; it may be run again if it was interrupted.

    Secrets and FANFARE_SHARDS must be those of the backup. Gateways that have seen owners of the lost Kafka are asked for their
    epochs, so that new owners begin above them. The ledger builds its book from the restored charges by itself; move an old
    ledger.sqlite3 away. Requests that were under way are not in a backup: publish again what people still have to be told, the
    gateway shows nobody the same message twice.
    """
    settings = configured("restore", bootstrap)
    try:
        done = run("restore", _restore(settings, folder))
    except BackupError as error:
        refuse("restore", str(error))
    again = f", {done.found:,} were there" if done.found else ""
    row = {**done._asdict(), "silent": [lane.word for lane in done.silent]}
    show(
        row,
        output,
        f"{done.written:,} records restored{again}; {done.adopted} journals go on above their gateway's epoch",
    )
    for lane in done.silent:
        say(
            f"note: the gateway of lane {lane.word} does not answer; if it has seen owners before, run this again when it does"
        )


async def _restore(settings: Settings, folder: Path) -> Restored:
    return await restore(with_own_secrets("restore", settings), folder, say=say)
