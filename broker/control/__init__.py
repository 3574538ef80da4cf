"""Pause, resume and cancel: a join of what businesses and operators said (PROTOCOL.md section 3.1)."""
