"""Tests the pure parts of runtime: no Kafka, no sleeps."""
