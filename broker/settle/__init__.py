"""What became of every message: outcomes and receipts joined into states, charges and statuses."""
