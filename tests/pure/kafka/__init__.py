"""Tests the pure parts of kafka: no Kafka, no sleeps."""
