"""One request's story, told from the logs: what was decided about it, why and when. Pure; reading is done elsewhere."""
