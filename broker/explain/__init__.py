"""Tells one request's story from the logs: what was decided about it, why and when. Pure; reading is done elsewhere."""
