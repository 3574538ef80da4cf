"""Serves every process: settings, clock, log, metrics, health, exits. Owns no business data, and knows no stage."""
