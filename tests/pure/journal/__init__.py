"""Tests the pure parts of journal: no Kafka, no sleeps."""
