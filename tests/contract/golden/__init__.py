"""One record of every kind, and the bytes it had in each format that is still read."""
