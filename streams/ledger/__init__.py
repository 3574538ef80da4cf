"""The ledger: one process, one SQLite file, each charge posted once."""
