"""Joins outcomes and receipts into the final state of every message, charges and statuses."""
