"""Bytes to values and back, and nothing else."""
