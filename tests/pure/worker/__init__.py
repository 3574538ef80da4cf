"""Tests the pure parts of worker: no Kafka, no sleeps."""
