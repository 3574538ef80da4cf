"""Runs on a developer's machine instead of a deployment: Kafka, the stack, sample sources, recordings, the demonstration."""
