"""Acts for the pure core: Kafka, Faust, HTTP, the clock and the processes around it."""
