"""Kills, pauses and take-overs on real Kafka, with an account closed at the end."""
