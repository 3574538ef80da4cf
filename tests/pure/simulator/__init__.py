"""Tests the pure parts of simulator: no Kafka, no sleeps."""
