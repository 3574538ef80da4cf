"""`fanfare init DIR`: writes a registry of one's own, and says what to do with it.

Comes in: a folder and an id. Goes out: files that `fanfare dev --registry` takes, and events to begin with. What is not about
the business (prices, words that stop, the seal key) is taken from the registry of development.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from broker.registry.entry_rules import business_id_objections
from schemas.request import Evidence, Member, Optin
from streams.client.events import Head, optin
from streams.commands.terminal import OutputOption, application, refuse, say, show
from streams.registry.development import DEVELOPMENT
from streams.runtime.settings import DEV_SEAL_KID, DEV_SEAL_PUBLIC, dev_intake_key

TEMPLATE: Final = "order_ready"
LIST: Final = "customers"
PERSON: Final = "tel:+12125550123"
"""A number kept free for such uses."""

_COPIED: Final = ("confirmations.yaml", "deployment.yaml", "keywords.yaml", "prices.yaml")

_BUSINESS: Final = """\
# Who sends. The id stands in the `source` of its events (//{business}/...) and in its topics: status.{business} and
# billing.{business}.
# It is marked as a test for the numbers below: `test: true` in an event reaches them alone, and is never billed.
- kind: business
  id: {business}
  name: {name}
  test_numbers: ["{number}"]

# The number that it sends from. Throughput is the number's; shares divide it among the lanes that use it, in percent.
- kind: sender
  id: {business}/main
  business: {business}
  number: "+18005550199"
  rate_per_s: 80
  shares: {{otp: 20, update: 50, campaign: 30}}
  default: true

# What it says. The category decides the lane and the price: utility goes to `update`, authentication to `otp`, marketing to
# `campaign`, which reaches only people on a list. {{slots}} are filled from `params`.
- kind: template
  id: {template}
  business: {business}
  category: utility
  parameters: [{{name: order}}]
  texts:
    en: "Your order {{order}} is ready."
"""

_KEYS: Final = """\
# What producers seal one-time codes to, and what HTTP intake knows the business by (SHA-256 of its API key). Both are of
# development, and anybody can compute them: make your own before anything is real.
- kind: key
  id: {kid}
  use: seal
  public: {public}
- kind: api_key
  id: dev_{underscored}
  business: {business}
  sha256: {sha256}
"""


def written(folder: Path, business: str) -> Iterator[Path]:
    """Writes the files, and yields the path of each.

    Raises ``ValueError`` for an id that no business can have or a folder that holds something already, ``OSError`` from the disk.
    """
    if (wrong := next(business_id_objections(business), None)) is not None:
        raise ValueError(f"business {business!r}: {wrong}; give another with --business")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty; name a new folder, nothing is overwritten")
    (folder / "examples").mkdir(parents=True)
    for name, text in _texts(business):
        path = folder / name
        path.write_text(text, "utf-8")
        yield path


def _texts(business: str) -> Iterator[tuple[str, str]]:
    name = business.replace("-", " ").title()
    number = PERSON.removeprefix("tel:")
    yield "business.yaml", _BUSINESS.format(business=business, name=name, template=TEMPLATE, number=number)
    key = hashlib.sha256(dev_intake_key(business).encode()).hexdigest()
    yield (
        "keys.yaml",
        _KEYS.format(
            kid=DEV_SEAL_KID,
            public=DEV_SEAL_PUBLIC,
            business=business,
            underscored=business.replace("-", "_"),
            sha256=key,
        ),
    )
    for copied in _COPIED:
        yield copied, (DEVELOPMENT / copied).read_text("utf-8")
    yield "examples/join.json", f"{_joining(business)}\n"


def _joining(business: str) -> str:
    """Returns the event by which a person comes onto the list."""
    evidence = Evidence(
        method="web_form", wording="Tell me when my order is ready.", source="https://example.com/orders"
    )
    content = Optin(LIST, "join", (Member(PERSON, locale="en"),), evidence=evidence, purpose="service")
    return msgspec.json.encode(optin(Head(source=f"//{business}/app", id="join-1"), content)).decode()


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
