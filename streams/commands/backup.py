"""`fanfare backup`: writes registry, people, words of control and charges to a folder."""

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.console import BootstrapOption, configured, run
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.operate.backup import BackupError, Manifest, write_backup
from streams.runtime.own_secrets import with_own_secrets
from streams.runtime.settings import Settings

app = application()


@app.command()
def main(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; it must not exist yet.", show_default=False)],
    output: OutputOption = "text",
    bootstrap: BootstrapOption = None,
) -> None:
    """Back up what must never be lost to DIR: who may be told what, the registry, words of control, and all charges.

    It reads the topics that are kept for ever and disturbs nobody; what is written meanwhile may be in it or not. With it go
    fingerprints of the secrets that the records need (FANFARE_PEPPER, FANFARE_ADDRESS_KEYS), never the secrets: keep those
    elsewhere. `fanfare restore` puts it into an empty Kafka.
    """
    settings = configured("backup", bootstrap)
    try:
        manifest = run("backup", _backup(settings, folder))
    except BackupError as error:
        refuse("backup", str(error))
    row = {"folder": str(folder), "records": manifest.records, "shards": manifest.shards}
    show(row, output, f"{manifest.records:,} records of {manifest.shards} shards are in {folder}")


async def _backup(settings: Settings, folder: Path) -> Manifest:
    return await write_backup(with_own_secrets("backup", settings), folder, say=say)
