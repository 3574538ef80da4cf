"""States which formats internal records have, and how long they may be; apart from their code, which needs numpy."""

FORMAT = 2
"""The newest format version that is written."""
READABLE_FORMATS = frozenset({1, 2})

RECORD_LIMIT_BYTES = 900_000
"""Every Kafka record stays below this. Kafka refuses above 1,048,588; the rest is room for headers and batch."""
