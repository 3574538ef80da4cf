"""Computes what messages cost, and the postings of the book."""
