"""How are assistants and numbers written down, found and taken away?

The one place that changes their tables; command line and API ask here.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants.models import Assistant, Number
from voiceagents.phone import is_e164


class AssistantProblem(Exception):
    """What was asked cannot be done to this assistant or number.

    The message says why and how to mend it.
    """


@dataclass(frozen=True)
class AssistantDraft:
    """An assistant as somebody wrote it down.

    None leaves a choice to the settings.
    """

    id: str
    name: str
    prompt: str = ""
    first_message: str = ""
    language: str = "en"
    llm_model: str | None = None
    voice: str | None = None
    temperature: float | None = None


def id_of(name: str) -> str:
    """A name as an id: what a person can type and a URL can hold.

    >>> id_of("Jürgen's Café, Front desk")
    'jurgens-cafe-front-desk'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


async def add(session: AsyncSession, draft: AssistantDraft) -> None:
    """Adds an assistant.

    Raises:
        AssistantProblem: its id is taken, or it has neither id nor name.
    """
    if not draft.id or not draft.name.strip():
        raise AssistantProblem("An assistant needs a name with a letter or digit in it, or an id of its own (--id).")
    statement = insert(Assistant).values(**asdict(draft)).on_conflict_do_nothing(index_elements=[Assistant.id])
    if (await session.execute(statement.returning(Assistant.id))).scalar_one_or_none() is None:
        raise AssistantProblem(f"There is an assistant {draft.id!r} already: take another --id, or --replace it.")


async def save(session: AsyncSession, draft: AssistantDraft) -> None:
    """Adds an assistant, or replaces the one with this id; numbers bound to it stay bound."""
    values = asdict(draft)
    changes = {name: value for name, value in values.items() if name != "id"} | {"updated_at": func.now()}
    statement = insert(Assistant).values(**values)
    await session.execute(statement.on_conflict_do_update(index_elements=[Assistant.id], set_=changes))


async def find(session: AsyncSession, assistant_id: str) -> Assistant:
    """The assistant with this id.

    Raises:
        AssistantProblem: there is none.
    """
    found = await session.get(Assistant, assistant_id)
    if found is None:
        known = list(await session.scalars(select(Assistant.id).order_by(Assistant.id).limit(10)))
        mend = f"known are: {', '.join(known)}" if known else "add one with `voiceagents assistants add`"
        raise AssistantProblem(f"There is no assistant {assistant_id!r}; {mend}.")
    return found


async def assistants(session: AsyncSession) -> Sequence[Assistant]:
    """Every assistant, by id."""
    return (await session.scalars(select(Assistant).order_by(Assistant.id))).all()


async def remove(session: AsyncSession, assistant_id: str) -> Sequence[str]:
    """Removes an assistant and answers with the numbers that nobody answers now.

    Raises:
        AssistantProblem: there is none with this id.
    """
    await find(session, assistant_id)
    orphaned = [number.e164 for number in await numbers(session, assistant_id)]
    await session.execute(delete(Assistant).where(Assistant.id == assistant_id))
    return orphaned


async def bind(session: AsyncSession, e164: str, assistant_id: str, label: str = "") -> None:
    """Lets an assistant answer a number; one that another assistant answered changes over.

    Raises:
        AssistantProblem: no such assistant, or the number is not E.164.
    """
    if not is_e164(e164):
        raise AssistantProblem(f"{e164!r} is not a number in E.164: it must be + and 8 to 15 digits (+12025550143).")
    await find(session, assistant_id)
    statement = insert(Number).values(e164=e164, assistant_id=assistant_id, label=label)
    changes = {"assistant_id": assistant_id} | ({"label": label} if label else {})
    await session.execute(statement.on_conflict_do_update(index_elements=[Number.e164], set_=changes))


async def numbers(session: AsyncSession, assistant_id: str | None = None) -> Sequence[Number]:
    """Every number, or those of one assistant."""
    query = select(Number).order_by(Number.e164)
    if assistant_id is not None:
        query = query.where(Number.assistant_id == assistant_id)
    return (await session.scalars(query)).all()


async def release(session: AsyncSession, e164: str) -> None:
    """Takes a number away: who calls it then hears that it is not in service.

    Raises:
        AssistantProblem: it is not ours.
    """
    if (
        await session.execute(delete(Number).where(Number.e164 == e164).returning(Number.e164))
    ).scalar_one_or_none() is None:
        raise AssistantProblem(f"{e164} is none of our numbers: `voiceagents numbers list` shows them.")
