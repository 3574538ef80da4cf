"""A one-time code, sealed, and an update to a list, with the client that needs no event loop.

Run it beside `fanfare dev`:

.venv/bin/python deploy/dev/examples/python/publish_sync.py [HOST:PORT]
"""

# ruff: noqa: T201 - it shows what it does

import sys
import uuid

from schemas.lanes import Lane
from schemas.request import Evidence, Member, Notification, Optin
from schemas.status import Status
from streams.client import Head, SyncClient, notification, optin, to_list, to_people

RUN = uuid.uuid4().hex[:8]
"""Ids are for ever: another run of this program says other things under other ids."""
FLIGHT = f"flight/UA1545/{RUN}"


def one_time_code(client: SyncClient) -> None:
    """The code is sealed to the gateway's key here; what reaches Kafka, nobody but the gateway can read."""
    content = Notification("login_code", to_people("tel:+491701234567"), params={"minutes": "5"})
    event = notification(Head(source="//bank-meridian/login", id=f"login-{RUN}", lifetime_ms=300_000), content)
    sent = client.publish(Lane.OTP, event, codes={"code": "493027"})
    print(f"code {sent.id} is request {sent.request}, at {sent.topic}[{sent.partition}]@{sent.offset}")
    show(client.wait(sent, until=is_under_way))


def list_update(client: SyncClient) -> None:
    """People join a list with proof of their consent; then whoever is on it is told."""
    members = (Member("tel:+12125550123", locale="en"), Member("tel:+12125550124", locale="es"))
    evidence = Evidence("web_form", "Tell me when my flight changes.", "https://example.com/flights")
    joining = optin(Head(source="//airline-ua/app", id=f"optin-{RUN}"), Optin(FLIGHT, "join", members, evidence))
    show(client.wait(client.publish(Lane.UPDATE, joining)))

    places = {"flight": "UA1545", "origin": "Newark", "destination": "Houston"}
    times = {"scheduled": "8:15 am", "expected": "9:05 am", "minutes": "50", "event_time": "6:40 am"}
    content = Notification("flight_delay", to_list(FLIGHT), params={**places, **times}, facet="departure", version=1)
    head = Head(source="//airline-ua/operations", id=f"delay-{RUN}", subject=FLIGHT, lifetime_ms=3_600_000)
    sent = client.publish(Lane.UPDATE, notification(head, content))
    print(f"update {sent.id} is request {sent.request}, at {sent.topic}[{sent.partition}]@{sent.offset}")
    show(client.wait(sent, until=is_under_way))


def is_under_way(status: Status) -> bool:
    """Whether something became of its messages. Its end may be days away: phones are off, and who is off may come back."""
    return bool(status.counts)


def show(status: Status) -> None:
    """What is known of a request."""
    print(" ", status.state, status.reason or status.counts)


def main(bootstrap: str) -> None:
    """Both."""
    with SyncClient(bootstrap) as client:
        one_time_code(client)
        list_update(client)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9092")
