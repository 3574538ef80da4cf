"""Tests the pure parts of operate: no Kafka, no sleeps."""
