"""Checks a whole book, sealed periods with it, which a start passes by (``streams/ledger/seals.py``)."""

from pathlib import Path
from typing import Final, NamedTuple

from streams.ledger.database import demand_sound, reading
from streams.ledger.seals import MISSTATED, UNBALANCED, examine_open, examine_sealed

_CHECKS: Final = (
    (
        UNBALANCED,
        "SELECT 1 FROM entries GROUP BY posting, currency HAVING sum(amount_micro) <> 0",
    ),
    (
        MISSTATED,
        """SELECT 1 FROM (SELECT business, account, currency, amount_micro FROM entries
           UNION ALL SELECT business, account, currency, -amount_micro FROM balances)
           GROUP BY business, account, currency HAVING sum(amount_micro) <> 0""",
    ),
    (
        "balances differ from charged messages",
        """SELECT 1 FROM (SELECT currency, messages * unit_micro AS amount_micro FROM charged
           UNION ALL SELECT currency, -amount_micro FROM balances WHERE account = 'receivable')
           GROUP BY currency HAVING sum(amount_micro) <> 0""",
    ),
)
"""Queries over the whole book that find a breach of what holds in every committed state of it, each with its name."""


class Checked(NamedTuple):
    """Holds how much :func:`check_all` has examined."""

    postings: int
    periods: int
    """Those of the postings that are sealed stand in so many periods."""


def check_all(path: Path) -> Checked:
    """Examines the whole book, sealed periods with it; raises :class:`BooksError`. Does not disturb the owner."""
    with reading(path) as db:
        db.execute("BEGIN")
        (verdict,) = db.execute("PRAGMA quick_check(1)").fetchone()
        complaints = set() if verdict == "ok" else {str(verdict)}
        complaints |= {complaint for complaint, query in _CHECKS if db.execute(f"{query} LIMIT 1").fetchone()}
        postings, periods = db.execute("SELECT count(*) FROM postings").fetchone()[0], 0
        if db.execute("SELECT 1 FROM sqlite_master WHERE name = 'seals'").fetchone():
            complaints |= examine_open(db)
            for sealed, found in examine_sealed(db):
                complaints |= found
                periods += sealed > 0
        demand_sound(path, complaints)
        return Checked(postings, periods)
