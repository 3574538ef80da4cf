"""Tests the pure parts of webhook: no Kafka, no sleeps."""
