"""Deliver: decide about each message, hand it off, keep every limit. A pure step function over a journal."""
