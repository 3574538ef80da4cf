"""Decides who may go on: a join of what businesses and operators said of pausing and cancelling (PROTOCOL.md section 3.1)."""
