"""Defines the sub-commands of `fanfare`, a module each, imported when called."""
