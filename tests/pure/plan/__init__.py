"""Tests the pure parts of plan: no Kafka, no sleeps."""
