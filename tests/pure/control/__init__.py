"""Tests the pure parts of control: no Kafka, no sleeps."""
