"""Reads the registry that a process follows, and applies a folder of it to the topic."""
