"""Sorts what gateways report: receipts, replies, blocks; keywords, and the one confirmation of a STOP."""
