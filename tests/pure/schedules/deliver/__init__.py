"""Deliver under the scheduler: owners of one shard that decide, append, send and die."""
