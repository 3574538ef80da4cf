"""Decides everything about notifications: pure functions over values, without Kafka, clock, environment or log."""
