"""Everything that overrides Faust, and why: one consumer a worker, shards by lane, commits after journals."""
