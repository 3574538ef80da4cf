"""What Fanfare decides: pure functions and values, without Kafka, clock, environment or log."""
