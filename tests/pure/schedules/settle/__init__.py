"""Settle and the ledger under the scheduler: joins that are repeated, and a book that is killed in mid-transaction."""
