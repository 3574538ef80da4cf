"""The real shells of ``streams/`` under the scheduler, over logs in memory (``tests/support/kafka_clients.py``)."""
