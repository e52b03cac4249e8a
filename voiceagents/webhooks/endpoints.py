"""Who is told of what? Endpoints, and the log of what each was sent. The one place that changes their tables, beside
`delivering`."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents import clock
from voiceagents.webhooks.models import CHANNEL, Delivery, DeliveryState, Endpoint, EventKind, Happening
from voiceagents.webhooks.signing import new_secret

_LONGEST = 2000


class EndpointProblem(Exception):
    """The endpoint will not do, or is not there.

    Args:
        words: what is wrong and how to mend it.
        field: the field to blame; None: there is no such endpoint or delivery.
    """

    def __init__(self, words: str, field: str | None = None) -> None:
        super().__init__(words)
        self.field = field


async def add(
    session: AsyncSession, *, url: str, events: Sequence[EventKind], description: str = "", enabled: bool = True
) -> Endpoint:
    """A new endpoint, with a secret of its own.

    Raises:
        EndpointProblem: the address is none, or nothing would be told.
    """
    row = Endpoint(
        url=checked_url(url),
        events=_checked_events(events),
        description=description,
        enabled=enabled,
        secret=new_secret(),
    )
    session.add(row)
    await session.flush()
    await session.refresh(row)
    return row


async def find(session: AsyncSession, endpoint_id: UUID) -> Endpoint:
    """The endpoint.

    Raises:
        EndpointProblem: there is none.
    """
    row = await session.get(Endpoint, endpoint_id, with_for_update={"key_share": True})
    if row is None:
        raise EndpointProblem("There is no webhook endpoint with this id.")
    return row


async def change(session: AsyncSession, endpoint_id: UUID, **values: Any) -> Endpoint:
    """Changes `url`, `events`, `description` or `enabled`; switching it on again forgets why it was off.

    Raises:
        EndpointProblem: a value will not do, or there is no such endpoint.
    """
    row = await find(session, endpoint_id)
    if "url" in values:
        row.url = checked_url(values["url"])
    if "events" in values:
        row.events = _checked_events(values["events"])
    if "description" in values:
        row.description = values["description"]
    if "enabled" in values:
        row.enabled, row.disabled_because = values["enabled"], None
    await session.flush()
    await session.refresh(row)
    return row


async def new_secret_for(session: AsyncSession, endpoint_id: UUID) -> Endpoint:
    """Another secret; the old one signs nothing from now on.

    Raises:
        EndpointProblem: there is none.
    """
    row = await find(session, endpoint_id)
    row.secret = new_secret()
    await session.flush()
    await session.refresh(row)
    return row


async def remove(session: AsyncSession, endpoint_id: UUID) -> None:
    """Takes an endpoint away, its log with it.

    Raises:
        EndpointProblem: there is none.
    """
    await session.delete(await find(session, endpoint_id))
    await session.flush()


async def listed(session: AsyncSession) -> Sequence[Endpoint]:
    """Every endpoint, the oldest first."""
    return (await session.scalars(select(Endpoint).order_by(Endpoint.created_at, Endpoint.id).limit(1000))).all()


async def deliveries(
    session: AsyncSession,
    endpoint_id: UUID,
    *,
    state: DeliveryState | None = None,
    after: int | None = None,
    limit: int = 50,
) -> Sequence[tuple[Delivery, Happening]]:
    """What an endpoint was sent, or is to be, the newest first."""
    query = select(Delivery, Happening).join(Happening, Delivery.event_id == Happening.id)
    query = query.where(Delivery.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(Delivery.state == state)
    if after is not None:
        query = query.where(Delivery.id < after)
    rows = await session.execute(query.order_by(Delivery.id.desc()).limit(limit))
    return [(delivery, happening) for delivery, happening in rows]


async def delivery(session: AsyncSession, delivery_id: int) -> tuple[Delivery, Happening]:
    """One delivery and what it tells.

    Raises:
        EndpointProblem: there is none.
    """
    row = await session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)
    if row is None:
        raise EndpointProblem("There is no delivery with this id.")
    return row, await session.get_one(Happening, row.event_id)


async def replay(session: AsyncSession, delivery_id: int) -> tuple[Delivery, Happening]:
    """Sends it again, now, whatever became of it; its log goes on.

    Raises:
        EndpointProblem: there is none.
    """
    row, happening = await delivery(session, delivery_id)
    row.state, row.attempts, row.next_at = DeliveryState.PENDING, 0, clock.now()
    await session.flush()
    await wake(session)
    return row, happening


async def replay_failed(session: AsyncSession, endpoint_id: UUID) -> int:
    """Sends again whatever failed; answers how much.

    Raises:
        EndpointProblem: there is no such endpoint.
    """
    await find(session, endpoint_id)
    answer: Any = await session.execute(
        update(Delivery)
        .where(Delivery.endpoint_id == endpoint_id, Delivery.state == DeliveryState.FAILED)
        .values(state=DeliveryState.PENDING, attempts=0, next_at=clock.now())
    )
    await wake(session)
    return answer.rowcount


async def wake(session: AsyncSession) -> None:
    """Tells the engines, when this transaction commits, that there is something to deliver."""
    await session.execute(select(func.pg_notify(CHANNEL, "")))


def checked_url(url: str) -> str:
    """The address.

    Raises:
        EndpointProblem: it is none that a message can be posted to.
    """
    address = url.strip()
    try:
        parts = urlsplit(address)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
        parts = None
    if not good or len(address) > _LONGEST or any(character.isspace() for character in address):
        raise EndpointProblem("It must be an address such as https://example.com/hooks/calls.", "url")
    if parts is not None and (parts.username or parts.password):
        raise EndpointProblem("Leave user and password out of the address: messages are signed.", "url")
    return address


def _checked_events(events: Sequence[EventKind]) -> list[str]:
    if not events:
        raise EndpointProblem(f"Name what is told: {', '.join(EventKind)}.", "events")
    return sorted({EventKind(kind).value for kind in events})
