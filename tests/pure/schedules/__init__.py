"""A seeded scheduler that runs the real shells through kills, pauses, several owners, rebalances and lying networks."""
