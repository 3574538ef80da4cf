"""Tests the pure parts of contract: no Kafka, no sleeps."""
