"""Tests the pure parts of explain: no Kafka, no sleeps."""
