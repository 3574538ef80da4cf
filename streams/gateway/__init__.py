"""Hands frames to gateways, and takes what gateways report.

In come frames of deliver and posts of gateways; out go answers for deliver, and receipts, replies and suppressions in Kafka. Owns
each gateway's client, table of codes and mapping of reports, behind ``port.py``. It decides nothing: what an answer makes of a
message is ``broker/deliver``'s to say, what a report is about is ``broker/webhook``'s.
"""
