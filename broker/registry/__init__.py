"""Folds the registry and rules what may be registered."""
