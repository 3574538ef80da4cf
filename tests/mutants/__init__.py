"""Bugs that are planted one at a time (``*.patch``), each of which the command that it names must catch: ``make mutants``."""
