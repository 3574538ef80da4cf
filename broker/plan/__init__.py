"""Plan: decides what becomes of each record of ``requests.<lane>``; acts on nothing.

In: records, the state folded from plan's journal, the registry, a time. Out: entries to append to the journal, and outputs. It
owns the names of the idempotency window and what senders owe; it must not read a clock, send, or change the state while it
decides. Read ``step.py`` first: a record goes through ``decode``, ``validate`` (with ``addresses``), ``seen``, ``authorize``
(with ``parties``) and ``verdict``, in this order. ``opt_in`` and ``control_events`` are the content of the other two types.
"""
