"""`fanfare init DIR`: writes a registry of one's own, and says what to do with it."""

from pathlib import Path
from typing import Annotated

import typer

from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.registry.new import LIST, TEMPLATE, written

app = application()


@app.command()
def main(
    *,
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder, or an empty one.", show_default=False)],
    business: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Of your business: small letters, digits, dashes.", show_default="DIR's name"),
    ] = None,
    output: OutputOption = "text",
) -> None:
    """Write a registry of your own: one business, one sender, one template, one list. Nothing is sent anywhere.

    The files are yours to edit; `fanfare dev` runs on them, and `fanfare registry apply DIR` takes them to any Kafka.
    """
    chosen = business or folder.absolute().name.lower().replace("_", "-")
    try:
        files = [str(path) for path in written(folder, chosen)]
    except ValueError as error:
        refuse("init", str(error))
    except OSError as error:
        refuse("init", f"{folder} cannot be written: {error.strerror}")
    commands = following(folder)
    for path in files:
        say(f"wrote {path}")
    say("\nnext, the first in a terminal of its own:")
    show({"business": chosen, "files": files, "next": commands}, output, "\n".join(f"  {each}" for each in commands))


def following(folder: Path) -> list[str]:
    """Returns the three commands that come next: run it, let somebody join the list, tell the list something."""
    return [
        f"fanfare dev --registry {folder}",
        f"fanfare publish --fresh -f {folder / 'examples' / 'join.json'}",
        f"fanfare send --template {TEMPLATE} --list {LIST} -p order=42",
    ]
