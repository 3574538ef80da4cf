"""Tests the pure parts of sources: no Kafka, no sleeps."""
