"""The Faust app of a lane: Faust's agents, membership and assignment, with everything that loses messages overridden.

As shipped, Faust commits past unfinished messages (faust-streaming/faust issue 606), acknowledges a message whose
handler raised and waits in whole seconds. Here the agents only hand raw records to
:class:`~streams.kafka.faust_app.hooks.ShardHooks`, the tracker alone says what is committed, and whatever is unexpected ends
the process. The order of the calls as observed on Faust 0.15.3:

    start      hooks.on_start -> consumer -> join -> assigned
    assigned   tracker.begin -> hooks.on_assigned -> Faust's own work -> seek -> records of this generation
    revoked    hooks.on_revoked -> tracker.forget -> a commit under way ends -> Faust's own work
    SIGTERM    hooks.on_stop -> commit -> tracker.forget -> Faust's own work -> LeaveGroup -> exit 0
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NoReturn

import faust
import uvloop
from aiokafka.errors import KafkaConnectionError
from faust.tables.manager import TableManager
from faust.types import TP

from broker.losses import Loss
from streams.kafka.faust_app import selftest
from streams.kafka.faust_app.commits import CommitTracker, Hole, Place
from streams.kafka.faust_app.consumer import LaneTransport
from streams.kafka.faust_app.hooks import Delivered, ShardHooks, WorkerSpec
from streams.kafka.faust_app.watchdog import Watchdog
from streams.runtime import clock, log
from streams.runtime.exits import Exit, fatal
from streams.runtime.kafka_access import kafka_at

_ASSIGNED_PATIENCE_S = 1.0
_REVOKED_PATIENCE_S = 1.5
"""A second for the appends in flight, and room to notice."""
_STOP_PATIENCE_S = 3.0
_START_PATIENCE_S = 30.0
_LEAVE_PATIENCE_MS = 5_000
"""From the end of our own stopping to the exit: Faust's part, LeaveGroup included, takes 35 ms when nothing hangs."""
_ANSWER_FRESH_MS = 2_000
"""An idle partition is answered for each 50 ms; one that is held back, or whose leader is away, is not."""

_log = log.get("kernel")


class _PromptTables(TableManager):
    """Faust's table manager, which sleeps one second before the consumer may subscribe. There are no tables."""

    async def sleep(self, n: Any, **options: Any) -> None:
        await super().sleep(0.0 if n == 1.0 else n, **options)


class FanfareApp(faust.App):
    """Runs a member of a lane's group. Made by :func:`build_app`, run by :func:`run_worker`."""

    def __init__(self, spec: WorkerSpec, hooks: ShardHooks, **options: Any) -> None:
        self.spec = spec
        self.hooks = hooks
        self.kafka = kafka_at(spec.bootstrap)
        """Knows what a topic of ours is called in Kafka: Faust and the tracker go by those names."""
        self.tracker = CommitTracker()
        self.watchdog = Watchdog(spec.session_timeout_ms // 2)
        super().__init__(spec.group, **options)

    # What a stage calls.

    def done(self, record: Delivered) -> None:
        """``record`` has been taken over; its offset need not be read again. Ignored when its generation is over."""
        place = self._place(record.topic, record.partition)
        still_open = self.tracker.done(place, record.offset, record.generation)
        if still_open is not None and still_open <= self.spec.inbox_limit // 2:
            self.consumer.on_buffer_drop(place)

    def heartbeat_age_ms(self) -> int:
        """Since the group last showed that it knows this member. Above half the session time-out: hand nothing out."""
        return clock.monotonic_ms() - int(self.consumer._thread.last_heartbeat_ms)  # noqa: SLF001

    async def ask_group(self) -> bool:
        """Asks the group anew whether it knows this member in its generation; False also if it gives no answer."""
        known: bool = await self.consumer._thread.ask_group()  # noqa: SLF001
        return known

    def lag(self, topic: str) -> int:
        """Records of ``topic`` that stand in the log and are not taken over yet, over the partitions held now."""
        held = self.consumer.assignment()
        ends = {
            place: (self.consumer.highwater(TP(*place)), position)
            for place, position in self.tracker.positions().items()
            if place[0] == self.kafka.name(topic) and place in held
        }
        return sum(max(0, end - position) for end, position in ends.values() if end is not None)

    def read_to_end(self, place: Place) -> bool:
        """Returns whether all of a partition is taken over, as of an answer that the broker gave just now; False if unknown."""
        there = self._place(*place)
        if there not in self.consumer.assignment():
            return False
        end: int | None = self.consumer.highwater(there)
        if end is None or clock.now_ms() - self.consumer.last_answer_ms(there) > _ANSWER_FRESH_MS:
            return False
        return (self.tracker.position(there) or 0) >= end

    def stored(self, place: Place) -> int | None:
        """Returns the offset of ``place`` that the group has acknowledged; None if there is none, or it is not ours."""
        return self.tracker.stored(self._place(*place))

    def _place(self, topic: str, partition: int) -> TP:
        return TP(self.kafka.name(topic), partition)

    # What Faust calls.

    def _new_transport(self) -> LaneTransport:
        return LaneTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """None: nothing is kept on disk."""

    async def on_start(self) -> None:
        """Faust starts its consumer when this has returned."""
        self.watchdog.start()
        await self._call(self.hooks.on_start, _START_PATIENCE_S, "on_start")
        await super().on_start()

    async def on_stop(self) -> None:
        """SIGTERM. Faust calls no revocation here."""
        self.watchdog.end_within(_LEAVE_PATIENCE_MS + int(_STOP_PATIENCE_S * 1000), "leave")
        await self._call(self.hooks.on_stop, _STOP_PATIENCE_S, "on_stop")
        await self._final_commit()
        self.tracker.forget()
        await super().on_stop()

    async def _final_commit(self) -> None:
        # Nothing to commit before the first assignment. A refusal is no matter any more: the process is leaving.
        if self.tracker.generation is not None:
            await asyncio.wait([asyncio.ensure_future(self.consumer.commit())], timeout=1.0)

    async def _on_partitions_assigned(self, assigned: set[Any], generation_id: int = 0) -> None:
        if self.should_stop:  # Faust would close the coordinator here, from the wrong thread; on_stop does it in order
            return
        shards = self._shards_of(assigned)
        self.consumer._thread.stamp()  # noqa: SLF001
        self.tracker.begin(generation_id)
        _log.info("assigned", shards=sorted(shards), generation=generation_id, slot=self.spec.slot)
        await self._call(lambda: self.hooks.on_assigned(shards, generation_id), _ASSIGNED_PATIENCE_S, "on_assigned")
        await super()._on_partitions_assigned(assigned, generation_id)

    async def _on_partitions_revoked(self, revoked: set[Any]) -> None:
        if self.should_stop:
            return
        if revoked:
            shards = sorted({tp.partition for tp in revoked})
            _log.info("revoked", shards=shards, generation=self.tracker.generation, slot=self.spec.slot)
            await self._call(self.hooks.on_revoked, _REVOKED_PATIENCE_S, "on_revoked")
        self.tracker.forget()
        await self.consumer.settle_commit()
        await super()._on_partitions_revoked(revoked)

    def _crash(self, reason: BaseException) -> None:
        if not self.should_stop:
            fatal(Exit.CRASHED, error=type(reason).__name__, group=self.spec.group, slot=self.spec.slot)
        super()._crash(reason)

    # What our consumer and agents call.

    def reading_starts_at(self, committed: Mapping[Place, int | None], begins: Mapping[Place, int]) -> None:
        """Called by the consumer at every seek, which Faust does once or twice per assignment.

        ``begins`` has partitions that begin above what was committed: records that nobody has read are gone. That ends the
        process, or is counted if the operator has accepted it.
        """
        try:
            for place, offset in committed.items():
                if offset is not None and place in begins:
                    self._accept_loss(place, offset, begins[place])
                self.tracker.reset(place, offset, begins=begins.get(place))
        except Hole as hole:
            self._end_by(hole)

    def _accept_loss(self, place: Place, committed: int, begins: int) -> None:
        loss = Loss(self._plain(place), place[1], begins)
        if loss not in self.spec.accepted_losses:
            fatal(
                Exit.TRIMMED,
                topic=loss.topic,
                partition=loss.partition,
                detail=f"the input begins at {begins} and was read to {committed}: {begins - committed} records are gone that "
                f"nobody has read. Restore them, or start once with FANFARE_ACCEPT_TRIMMED={loss}, and tell their publishers.",
            )
        self.hooks.lost(loss.topic, loss.partition, begins - committed)

    def take(self, message: Any) -> None:
        """Checks a message from an agent, then hands it to the stage."""
        generation = self.tracker.generation
        if generation is None or message.generation_id != generation:
            return
        place: Place = message.tp
        try:
            follows = self.consumer.follows(place, message.offset)
            unfinished = self.tracker.delivered(place, message.offset, at_ms=clock.monotonic_ms(), follows=follows)
            self.hooks.deliver(Delivered.of(message, self.kafka.prefix, generation))
        except Hole as hole:
            self._end_by(hole)
        except Exception:  # noqa: BLE001 - nothing may escape into Faust, which would skip the message
            fatal(Exit.CRASHED, step="deliver", topic=self._plain(place), partition=place[1], offset=message.offset)
        if unfinished > self.spec.inbox_limit:
            # At every message above the limit: Faust reactivates the partition when its own queue runs low, and the
            # messages that are still in that queue then hold it back again.
            self.consumer.on_buffer_full(place)

    def _shards_of(self, assigned: set[Any]) -> frozenset[int]:
        topics = {self.kafka.name(topic) for stage in self.spec.stages.values() for topic in stage}
        by_topic = {topic: frozenset(tp.partition for tp in assigned if tp.topic == topic) for topic in topics}
        if len(set(by_topic.values())) != 1:
            fatal(Exit.GROUP_LOST, error="topics of one lane were assigned different partitions", slot=self.spec.slot)
        return next(iter(by_topic.values()))

    async def _call(self, hook: Callable[[], Awaitable[None]], patience_s: float, step: str) -> None:
        try:
            await asyncio.wait_for(hook(), patience_s)
        except TimeoutError:
            fatal(Exit.DEADLINE, step=step, patience_ms=int(patience_s * 1000))
        except Exception:  # noqa: BLE001 - the edge of the stage's code: crash-only
            fatal(Exit.CRASHED, step=step)

    def _end_by(self, hole: Hole) -> NoReturn:
        _, partition = hole.place
        fatal(Exit.HOLE, topic=self._plain(hole.place), partition=partition, expected=hole.expected, got=hole.got)

    def _plain(self, place: Place) -> str:
        return place[0].removeprefix(self.kafka.prefix)


class _Worker(faust.Worker):
    """mode's worker without its spinner and without the two seconds that it sleeps after everything has stopped."""

    async def start(self) -> None:
        try:
            await super().start()
        except KafkaConnectionError:
            fatal(Exit.DEADLINE, step="start", detail=f"No Kafka answers at {self.app.spec.bootstrap}.")
        except Exception:  # noqa: BLE001 - the process's entry: mode would print the text and exit with 1
            fatal(Exit.CRASHED, step="worker")

    async def on_shutdown(self) -> None:
        await super().on_shutdown()
        if self._signal_stop_time is not None:
            _log.info("left")
            os._exit(0)


def build_app(spec: WorkerSpec, hooks: ShardHooks) -> FanfareApp:
    """An app with one agent per stage of ``spec``; nothing is connected yet."""
    app = FanfareApp(
        spec,
        hooks,
        broker=[f"kafka://{server}" for server in kafka_at(spec.bootstrap).bootstrap.split(",")],
        broker_session_timeout=spec.session_timeout_ms / 1000,
        broker_heartbeat_interval=spec.heartbeat_ms / 1000,
        broker_request_timeout=spec.session_timeout_ms / 1000 + 9,
        broker_commit_interval=spec.commit_interval_ms / 1000,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        web_enabled=False,
        worker_redirect_stdouts=False,
        TableManager=_PromptTables,
    )
    for stage, topics in spec.stages.items():
        _add_agent(app, stage, topics)
    return app


def run_worker(app: FanfareApp) -> NoReturn:
    """Run until SIGTERM (exit 0) or a fault (:class:`~streams.runtime.exits.Exit`). Call ``log.configure`` before."""
    try:
        selftest.verify()
    except selftest.KernelMismatchError as mismatch:
        fatal(Exit.REFUSED_START, detail=str(mismatch))
    # A fifth less CPU per record than asyncio's own loop. Faust and mode take the thread's loop when they first need one.
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    worker = _Worker(app, loop=loop, quiet=True, override_logging=False, redirect_stdouts=False)
    worker.spinner = None
    worker.execute_from_commandline()
    fatal(Exit.CRASHED, step="worker")


def _add_agent(app: FanfareApp, stage: str, topics: tuple[str, ...]) -> None:
    # acks=False and noack(): either alone leaves Faust's own offset logic half awake.
    channel = app.topic(*map(app.kafka.name, topics), key_serializer="raw", value_serializer="raw", acks=False)

    async def take_all(stream: Any) -> None:
        async for event in stream.noack().events():
            app.take(event.message)

    app.agent(channel, name=stage)(take_all)
