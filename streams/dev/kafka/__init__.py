"""Runs Apache Kafka on this machine: jars, Java, nodes, their folders. Imports no Kafka client."""
