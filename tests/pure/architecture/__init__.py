"""Holds the rules of the house: layers, sizes, docstrings, nothing declared in vain."""
