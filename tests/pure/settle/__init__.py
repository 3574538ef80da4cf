"""Tests the pure parts of settle: no Kafka, no sleeps."""
