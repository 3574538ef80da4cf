"""Reads and writes what a person at a terminal pauses, resumes and cancels by."""
