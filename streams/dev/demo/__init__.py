"""The demonstration: a real storm day through the whole system on one machine, and what came of it."""
