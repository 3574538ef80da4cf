"""Tests of pure code: no Kafka, no network, no processes."""
