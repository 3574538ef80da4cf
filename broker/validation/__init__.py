"""Checks an event before it is published: everything that Fanfare would object to, at once."""
