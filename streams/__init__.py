"""How Fanfare acts: Kafka, Faust, HTTP, the clock and the processes around the pure core."""
