"""Holds what an operator runs against a deployment: audit, explain, doctor, redrive, control, top. Decides nothing."""
