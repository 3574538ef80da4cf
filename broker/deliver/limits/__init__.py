"""Keeps what is sent within limits, of two kinds: what one person gets, and what one sender number sends.

*In:* who a decision is about, and the time. *Out:* who may go now, and when the others may. *Owns:* what was spent. *Never:*
decides whether a person may be written to at all; that is consent.

- *What a person gets* (:class:`~broker.deliver.limits.limit.Limit`): asked last at each decision, spent in the fold, said again
  while it is in force. ``pair.py`` is one; :data:`~broker.deliver.state.LIMITS` has a row for each.
- *What a number sends* (``slots.py``): asked by the scheduler before it decides, by count. It is spent at the decision and never
  journaled, because the next owner uses no slot that began before it did.
"""
