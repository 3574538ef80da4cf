"""`fanfare ledger`: keeps the books from the topic ``charges``; ``show`` prints them, ``items`` and ``export`` the bill."""

from typing import Annotated

import typer
import uvloop

from streams.commands.ledger_book import export, print_balances, show_balances
from streams.commands.ledger_items import items
from streams.commands.start import refuse_start
from streams.commands.terminal import application, refuse
from streams.dev.kafka.errors import ClusterError
from streams.kafka.admin import demand_listener
from streams.kafka.provision import ProvisionError
from streams.kafka.start_check import demand_safe
from streams.ledger.database import BooksError
from streams.ledger.service import keep_books, path_of
from streams.runtime import log
from streams.runtime.ports import demand_own
from streams.runtime.priority import give_way
from streams.runtime.settings import Settings, SettingsError, load
from streams.runtime.signals import stop_asked

app = application(subcommand_metavar="[COMMAND] [ARGS]...")
app.command("show")(show_balances)
app.command("items")(items)
app.command("export")(export)


@app.callback(invoke_without_command=True)
def ledger(
    context: typer.Context,
    *,
    show: Annotated[bool, typer.Option("--show", hidden=True, help="The same as `fanfare ledger show`.")] = False,
    business: Annotated[
        str | None, typer.Option(metavar="BUSINESS", hidden=True, help="With --show: only this business.")
    ] = None,
    bootstrap: Annotated[str | None, typer.Option(metavar="HOST:PORT,...", help="Kafka to read.")] = None,
    port: Annotated[
        int | None,
        typer.Option(metavar="PORT", help="Port on loopback for its metrics; that of the settings otherwise."),
    ] = None,
) -> None:
    """Keep the books: post every charge once, into one file, and tell businesses on their billing topics; Ctrl-C stops it.

    The file lies in the data folder. It can be moved away at any time: the next start reads all charges again, and comes to
    the same books.
    """
    if context.invoked_subcommand is not None:
        return
    try:
        settings = load(bootstrap=bootstrap, ledger_metrics_port=port)
        if show:
            print_balances(path_of(settings), business, "text")
            return
        demand_listener(settings.kafka)
        demand_own("the ledger", (settings.metrics_host, settings.ledger_metrics_port))
        log.configure(level=settings.log_level, program="ledger")
        give_way(settings.ledger_nice)
        uvloop.run(_keep(settings))
    except (BooksError, ClusterError, OSError, ProvisionError, SettingsError) as error:
        if show:
            refuse("ledger", str(error))
        refuse_start("ledger", error)


async def _keep(settings: Settings) -> None:
    stop = stop_asked()
    cluster = await demand_safe(settings, "ledger")
    await keep_books(settings, cluster, stop)
