"""Defines topics, records and ids as they stand on the wire."""
