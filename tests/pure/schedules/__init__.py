"""A seeded scheduler that runs the real journal and engines through kills, pauses, several owners and lying networks."""
