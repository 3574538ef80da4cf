"""The only place that imports Faust or aiokafka: cluster, provisioning, producers, journal, app."""
