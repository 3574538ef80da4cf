"""How far a group has committed, asked of the broker by anybody who needs to know."""

from aiokafka.admin import AIOKafkaAdminClient

from streams.kafka.faust_app.commits import Place


async def committed_offsets(bootstrap: str, group: str) -> dict[Place, int]:
    """(topic, partition) -> the offset up to which ``group`` has finished; places never committed are missing."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, client_id="committed")
    await admin.start()
    try:
        found = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    return {(place.topic, place.partition): at.offset for place, at in found.items() if at.offset >= 0}
