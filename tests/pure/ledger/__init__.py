"""Tests the pure parts of ledger: no Kafka, no sleeps."""
