"""Tests the pure parts of dev: no Kafka, no sleeps."""
