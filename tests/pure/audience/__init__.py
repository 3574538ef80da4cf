"""Tests the pure parts of audience: no Kafka, no sleeps."""
