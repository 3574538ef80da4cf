"""The auditor: closes every account from the topics, the ledger and the gateway's own log.

It shares no code with the workers but ``schemas/``: its epoch rule, its folds and its tables are written a second time
here, on purpose, from the same documents. ``invariants.py`` says what is checked; ``auditor.py`` in which order.
"""
