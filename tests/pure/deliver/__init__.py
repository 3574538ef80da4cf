"""Tests the pure parts of deliver: no Kafka, no sleeps."""
