"""Plan: the verdict on a request, and its expansion to the shards. Decides; acts on nothing."""
