"""For producers: build events, seal one-time codes, publish, follow the status. Imports no Faust.

A cookbook; the examples go on from one another. An event, and what would be refused of it, before anything is sent::

    from schemas.lanes import Lane
    from schemas.request import Control, EventName, Notification
    from streams.client import Client, Head, Publication, Published, StillOpenError, SyncClient
    from streams.client import control, notification, to_people

    def parcel(number):
        params = {"parcel": f"PX-{number}", "event_time": "6:38 pm"}
        content = Notification("parcel_delivered", to_people(f"tel:+1212555{number:04}"), params=params)
        return notification(Head(source="//shop-parcelo/parcels", id=f"px-{number}", lifetime_ms=3_600_000), content)

    client = Client("127.0.0.1:9092")
    assert client.check(Lane.UPDATE, parcel(1)) == ()
    for fault in client.check(Lane.UPDATE, parcel(1) | {"expirytme": "tomorrow"}):
        print(fault.place, fault.reason.word, fault.detail)

Publish it, and wait until it is answered (or ``closed``, or what a function of the status says)::

    async with Client("127.0.0.1:9092") as client:
        sent = await client.publish(Lane.UPDATE, parcel(1))
        status = await client.wait(sent, until="answered", timeout_s=60)
        print(sent.request, status.state, status.reason)

Many at once; what is not over in time is no loss, for all that is known stands in the error::

    async with Client("127.0.0.1:9092") as client:
        sent = [await client.publish("update", parcel(number)) for number in range(501, 504)]
        try:
            ends = await client.wait_all(sent, until="closed", timeout_s=60)
        except StillOpenError as late:
            ends = late.newest
        print({request: status.counts for request, status in ends.items()})

Many, from a generator: at most ``in_flight`` are under way, and each has an outcome, in its turn::

    async with Client("127.0.0.1:9092") as client:
        events = (Publication(Lane.UPDATE, parcel(number)) for number in range(2, 500))
        async for outcome in client.publish_many(events, in_flight=100):
            if not isinstance(outcome, Published):
                print(outcome.event["id"], outcome.error)

A one-time code is sealed to the gateway's key before it leaves. Sealing is random and a repeat must carry the same bytes: this
client remembers them; to repeat after a restart of the program, seal first, keep what you get, and publish that::

    def login(number):
        content = Notification("login_code", to_people("tel:+491701234567"), params={"minutes": "5"})
        return notification(Head(source="//bank-meridian/login", id=f"login-{number}", lifetime_ms=300_000), content)

    async with Client("127.0.0.1:9092") as client:
        await client.publish(Lane.OTP, login(1), codes={"code": "493027"})
        kept = await client.seal(Lane.OTP, login(2), {"code": "271828"})
        for attempt in range(2):
            await client.publish(Lane.OTP, kept)

Without an event loop, and from as many threads as you like. A position, kept, is where another program goes on::

    with SyncClient("127.0.0.1:9092") as client:
        sent = client.publish(Lane.UPDATE, parcel(500))
        client.wait(sent, until="answered", timeout_s=60)
        following = client.follow("shop-parcelo", since=sent.at_ms - 5_000, silence_s=5)
        for status in following:
            kept = following.position
            break
        for status in client.follow("shop-parcelo", position=kept, silence_s=1):
            print(status.id, status.state, status.counts)

What the business is charged, from the first posting on; a position, kept, says where to go on here too::

    with SyncClient("127.0.0.1:9092") as client:
        for charge in client.follow_bill("shop-parcelo", since=0, silence_s=5):
            print(charge.serial, charge.id, charge.count, charge.amount_micro, charge.currency)

A Kafka with TLS, passwords or a prefix takes a :class:`Kafka` instead of its addresses. ``Client()`` goes where the environment
says, ``FANFARE_KAFKA_…`` or ``fanfare.toml``; an address that is given is taken as it is, without a password of the environment.

A request, or all requests about a subject, can be paused, resumed and cancelled; its statuses count what is ``held``::

    of = EventName("//shop-parcelo/parcels", "px-500")
    stop = control(Head(source="//shop-parcelo/desk", id="hold-1"), Control("pause", of=of))
    with SyncClient("127.0.0.1:9092") as client:
        client.wait(client.publish(Lane.UPDATE, stop), until="answered", timeout_s=60)

When something is wrong, a :class:`ClientError` says what and what to do (``streams/client/results.py``). After
:class:`UnknownPublishError` publish the same event again: its source and id make it count once. The same, not one made anew:
that expires at another moment, and other content under a known id is refused as a conflict.
"""

from streams.client.client import Client
from streams.client.events import Event, Head, control, notification, optin, to_list, to_people
from streams.client.following import BillFollowing, BillPosition, Following, Position
from streams.client.results import (
    BillUnreadableError,
    ClientError,
    Failed,
    InvalidEventError,
    NoBrokerError,
    NotPublishedError,
    Outcome,
    Publication,
    Published,
    RegistryUnreadableError,
    SealingError,
    StatusUnreadableError,
    StillOpenError,
    UnknownPublishError,
)
from streams.client.sealing import SealKey
from streams.client.sync import SyncClient, SyncFollowing
from streams.runtime.kafka_access import Kafka

__all__ = (
    "BillFollowing",
    "BillPosition",
    "BillUnreadableError",
    "Client",
    "ClientError",
    "Event",
    "Failed",
    "Following",
    "Head",
    "InvalidEventError",
    "Kafka",
    "NoBrokerError",
    "NotPublishedError",
    "Outcome",
    "Position",
    "Publication",
    "Published",
    "RegistryUnreadableError",
    "SealKey",
    "SealingError",
    "StatusUnreadableError",
    "StillOpenError",
    "SyncClient",
    "SyncFollowing",
    "UnknownPublishError",
    "control",
    "notification",
    "optin",
    "to_list",
    "to_people",
)
