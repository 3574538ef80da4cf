"""What every process needs: settings, clock, log, metrics, health, exits. Owns no business data, and knows no stage."""
