"""Tests the pure parts of client: no Kafka, no sleeps."""
