"""Acts for the pure core: Kafka, Faust, HTTP, the clock and the processes around it."""

__version__ = "0.1.0"
"""The release; ``pyproject.toml`` takes it from here, so it is known without an installation."""
