"""Load and latency measurements."""
