"""A simulated gateway with phones: a program of its own that shares no limit or billing code with the broker."""
