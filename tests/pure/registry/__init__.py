"""Tests the pure parts of registry: no Kafka, no sleeps."""
