"""The only place that imports Faust or aiokafka: cluster, provisioning, producers, journal, app.

Every client is built by ``clients``, which knows the way in. Names of topics and groups are plain outside this folder; in it
they get the prefix of the deployment when they go to Kafka, and lose it when they come back.
"""
