"""How does a message get to its receiver? Claimed, sent, and written down; after a crash sent again.

A delivery is leased before it is sent, so that of several engines one sends it; whoever dies with it in hand leaves a
lease that runs out. A receiver may thus get a message twice, with the same `webhook-id`; it never misses one.
"""

import asyncio
import json
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import delete, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.calls.models import Call
from voiceagents.calls.views import CallView
from voiceagents.db import Database
from voiceagents.text import storable
from voiceagents.webhooks.models import Delivery, DeliveryState, Endpoint, EventKind, Happening
from voiceagents.webhooks.retries import Answer, after
from voiceagents.webhooks.signing import headers

log = logging.getLogger("voiceagents.webhooks")

BATCH = 20
_LEASE = timedelta(seconds=60)
_PATIENCE = 10.0
"""Seconds a receiver has to answer."""

_AT_ONCE = 5
_LOGGED = 20
"""Attempts that a delivery's log keeps."""

_NOW = timedelta(seconds=1)

KEPT = timedelta(days=30)
"""How long the log can be replayed from."""

_FORGOTTEN_AT_ONCE = 200


@dataclass(frozen=True)
class Due:
    """When something is to be delivered next, and to whom there is something now."""

    endpoints: Sequence[UUID]
    next_at: datetime | None


async def due(session: AsyncSession, now: datetime) -> Due:
    """Endpoints with something to deliver now, and the next moment at which there will be."""
    pending = Delivery.state == DeliveryState.PENDING
    endpoints = (
        await session.scalars(select(Delivery.endpoint_id).where(pending, Delivery.next_at <= now + _NOW).distinct())
    ).all()
    next_at = await session.scalar(select(func.min(Delivery.next_at)).where(pending, Delivery.next_at > now + _NOW))
    return Due(endpoints, next_at)


async def deliver(database: Database, client: httpx.AsyncClient, endpoint_id: UUID, random: Random) -> bool:
    """Sends what is due to one endpoint, some at a time; True when there may be more."""
    messages = await _claim(database, endpoint_id)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def one(message: "_Message") -> None:
        async with turn:
            answer = await _send(client, message)
        await _write_down(database, message, answer, random)

    await asyncio.gather(*(one(message) for message in messages))
    return len(messages) == BATCH


async def forget(database: Database, endpoint_id: UUID) -> None:
    """Takes the oldest entries out of an endpoint's log, some at a time, when they are older than a log need be."""
    oldest = select(Delivery.event_id).where(Delivery.endpoint_id == endpoint_id).order_by(Delivery.id)
    async with database.transaction() as session:
        await session.execute(
            delete(Happening).where(
                Happening.id.in_(oldest.limit(_FORGOTTEN_AT_ONCE)), Happening.at < clock.now() - KEPT
            )
        )


@dataclass(frozen=True)
class _Message:
    delivery_id: int
    endpoint_id: UUID
    url: str
    secret: str
    message_id: str
    kind: str
    body: bytes


async def _claim(database: Database, endpoint_id: UUID) -> list[_Message]:
    now = clock.now()
    async with database.transaction() as session:
        rows = (
            await session.scalars(
                select(Delivery)
                .where(
                    Delivery.endpoint_id == endpoint_id,
                    Delivery.state == DeliveryState.PENDING,
                    Delivery.next_at <= now + _NOW,
                )
                .order_by(Delivery.id)
                .limit(BATCH)
                .with_for_update(skip_locked=True)
            )
        ).all()
        if not rows:
            return []
        endpoint = await session.get_one(Endpoint, endpoint_id)
        if not endpoint.enabled:
            for row in rows:
                row.state = DeliveryState.FAILED
                row.log = _logged(row, now, Answer(None, "the endpoint is switched off"))
            return []
        messages: list[_Message] = []
        for row in rows:
            row.next_at = now + _LEASE
            row.attempts += 1
            happening = await session.get_one(Happening, row.event_id)
            body = json.dumps(await payload(session, happening), ensure_ascii=False, separators=(",", ":"))
            messages.append(
                _Message(
                    row.id, endpoint_id, endpoint.url, endpoint.secret, f"evt_{happening.id}", happening.kind,
                    body.encode(errors="replace"),
                )
            )  # fmt: skip
        return messages


async def payload(session: AsyncSession, happening: Happening) -> dict[str, Any]:
    """What a receiver reads: `type`, `timestamp` and `data`, a call or contact as it is now."""
    return {
        "type": happening.kind,
        "timestamp": happening.at.isoformat(),
        "data": await _data(session, happening),
    }


async def _data(session: AsyncSession, happening: Happening) -> dict[str, Any]:
    data: dict[str, Any] = {"id": happening.subject_id, **happening.data}
    if happening.kind == EventKind.CALL_ENDED:
        call = await session.get(Call, UUID(happening.subject_id))
        if call is not None:
            data |= CallView.model_validate(call).model_dump(mode="json")
    return data


async def _send(client: httpx.AsyncClient, message: _Message) -> Answer:
    signed = headers(message.secret, message.message_id, int(clock.now().timestamp()), message.body)
    started = time.monotonic()
    try:
        async with asyncio.timeout(_PATIENCE):
            async with client.stream(
                "POST",
                message.url,
                content=message.body,
                headers={"Content-Type": "application/json", "User-Agent": "voiceagents", **signed},
            ) as response:
                # What else the receiver says is of no interest, however long it is.
                return Answer(response.status_code, None, _since(started))
    except TimeoutError:
        return Answer(None, f"no answer within {_PATIENCE:.0f} s", _since(started))
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        return Answer(None, storable(str(error))[:300] or type(error).__name__, _since(started))


async def _write_down(database: Database, message: _Message, answer: Answer, random: Random) -> None:
    now = clock.now()
    async with database.transaction() as session:
        row = await session.get(Delivery, message.delivery_id, with_for_update=True)
        if row is None:
            return  # the endpoint was taken away meanwhile
        row.log = _logged(row, now, answer)
        if answer.taken:
            row.state, row.delivered_at = DeliveryState.DELIVERED, now
        else:
            following = after(answer, row.attempts, now, random)
            if following.at is None:
                row.state = DeliveryState.FAILED
            else:
                row.next_at = following.at
            if following.switch_off:
                await session.execute(
                    update(Endpoint)
                    .where(Endpoint.id == message.endpoint_id)
                    .values(enabled=False, disabled_because="the receiver answered 410 Gone: it wants no more messages")
                )
        payload = json.dumps({"kind": "delivery", "id": str(row.id)})
        await session.execute(select(func.pg_notify("voiceagents_events", payload)))
    if not answer.taken:
        log.warning(
            "WEBHOOK_NOT_TAKEN | delivery=%d | attempt=%d | status=%s | cause=%s",
            message.delivery_id, row.attempts, answer.status, answer.error or "-",
        )  # fmt: skip


def _logged(row: Delivery, now: datetime, answer: Answer) -> list[dict[str, Any]]:
    line = {"at": now.isoformat(), "status": answer.status, "error": answer.error, "ms": answer.milliseconds}
    return [*row.log[-(_LOGGED - 1) :], line]


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)
