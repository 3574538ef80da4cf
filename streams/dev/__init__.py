"""What a developer runs instead of a deployment: Kafka, the stack, sample sources, recordings, the demonstration."""
