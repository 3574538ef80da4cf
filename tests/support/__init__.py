"""Builds what tests of several folders need: plans, shards, a simulated gateway, programs, listeners."""
