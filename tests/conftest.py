"""Fixtures and switches for the whole suite."""
