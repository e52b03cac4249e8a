"""How are assistants and numbers written down, found and taken away?

The one place that changes their tables; command line and API ask here. Each change of an assistant makes a version,
which nothing changes afterwards.
"""

import re
import unicodedata
from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from voiceagents.assistants.draft import FIELDS, read
from voiceagents.assistants.draft import AssistantDraft as AssistantDraft
from voiceagents.assistants.draft import AssistantProblem as AssistantProblem
from voiceagents.assistants.models import Assistant, AssistantVersion, Number
from voiceagents.phone import is_e164


class AssistantChanged(AssistantProblem):
    """Somebody else changed the assistant since it was read."""


def id_of(name: str) -> str:
    """A name as an id: what a person can type and a URL can hold.

    >>> id_of("Jürgen's Café, Front desk")
    'jurgens-cafe-front-desk'
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower().replace("'", "")
    return re.sub(r"[^a-z0-9]+", "-", plain).strip("-")


def draft_of(assistant: Assistant) -> AssistantDraft:
    """What is set on an assistant now."""
    return read({name: getattr(assistant, name) for name in FIELDS})


async def add(session: AsyncSession, draft: AssistantDraft) -> int:
    """Adds an assistant and answers with its version: 1, or the next one where the id was in use before.

    Raises:
        AssistantProblem: its id is taken, or it has neither id nor name.
    """
    _require_name(draft)
    if (version := await _insert(session, draft)) is None:
        raise AssistantProblem(f"There is an assistant {draft.id!r} already: take another --id, or --replace it.")
    return version


async def save(session: AsyncSession, draft: AssistantDraft, *, expected_version: int | None = None) -> int:
    """Adds an assistant, or replaces the one with this id; numbers bound to it stay bound.

    Answers with the version that is now in force. Saving what is there already makes no new one.

    Args:
        session: an open transaction.
        draft: all that shall be set.
        expected_version: the version that the draft was made from; None to replace whatever is there.

    Raises:
        AssistantProblem: it has neither id nor name.
        AssistantChanged: it is at another version than expected, or gone.
    """
    _require_name(draft)
    found = await _locked(session, draft.id)
    if found is None and expected_version is not None:
        raise AssistantChanged(f"The assistant {draft.id!r} was removed since you read it.")
    if found is None and (version := await _insert(session, draft)) is not None:
        return version
    # Somebody may have added it in between.
    found = found or await _locked(session, draft.id)
    if found is None:
        raise AssistantChanged(f"The assistant {draft.id!r} is being added and removed by somebody else right now.")
    if expected_version is not None and found.version != expected_version:
        raise AssistantChanged(
            f"The assistant {draft.id!r} is at version {found.version} by now, and your change was made from version "
            f"{expected_version}: read it again, then repeat the change."
        )
    values = draft.model_dump(mode="json")
    changed = {name: value for name, value in values.items() if getattr(found, name) != value}
    if not changed:
        return found.version
    version = max(found.version, await _newest(session, draft.id)) + 1
    for name, value in (changed | {"version": version}).items():
        setattr(found, name, value)
    await session.flush()
    await _keep(session, draft, version)
    return version


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


async def versions(session: AsyncSession, assistant_id: str) -> Sequence[AssistantVersion]:
    """Every version of an assistant, the newest first; those of a removed one too.

    Raises:
        AssistantProblem: there is none and never was.
    """
    query = select(AssistantVersion).where(AssistantVersion.assistant_id == assistant_id)
    kept = (await session.scalars(query.order_by(AssistantVersion.version.desc()))).all()
    if not kept:
        await find(session, assistant_id)
    return kept


async def version(session: AsyncSession, assistant_id: str, number: int) -> AssistantVersion:
    """One version of an assistant.

    Raises:
        AssistantProblem: there is no such version.
    """
    found = await session.get(AssistantVersion, (assistant_id, number))
    if found is None:
        known = ", ".join(str(one.version) for one in await versions(session, assistant_id)) or "none"
        raise AssistantProblem(f"The assistant {assistant_id!r} has no version {number}; it has {known}.")
    return found


async def restore(session: AsyncSession, assistant_id: str, number: int, *, expected_version: int | None = None) -> int:
    """Sets an assistant to what an earlier version of it was, as a new version, and answers with that.

    A removed assistant comes back; its numbers do not.

    Raises:
        AssistantProblem: there is no such version, or it holds what is no longer allowed.
        AssistantChanged: the assistant is at another version than expected.
    """
    kept = await version(session, assistant_id, number)
    return await save(session, read(kept.snapshot), expected_version=expected_version)


async def remove(session: AsyncSession, assistant_id: str) -> Sequence[str]:
    """Removes an assistant and answers with the numbers that nobody answers now. Its versions stay.

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


def _require_name(draft: AssistantDraft) -> None:
    if not draft.id or not draft.name.strip():
        raise AssistantProblem("An assistant needs a name with a letter or digit in it, or an id of its own (--id).")


async def _locked(session: AsyncSession, assistant_id: str) -> Assistant | None:
    return await session.get(Assistant, assistant_id, with_for_update=True, populate_existing=True)


async def _insert(session: AsyncSession, draft: AssistantDraft) -> int | None:
    """Adds an assistant and answers with its version; None when its id is taken."""
    version = await _newest(session, draft.id) + 1
    values: dict[str, Any] = draft.model_dump(mode="json") | {"version": version}
    statement = insert(Assistant).values(**values).on_conflict_do_nothing(index_elements=[Assistant.id])
    if (await session.execute(statement.returning(Assistant.id))).scalar_one_or_none() is None:
        return None
    await _keep(session, draft, version)
    return version


async def _newest(session: AsyncSession, assistant_id: str) -> int:
    """The highest version that was ever kept of an assistant; 0 where none was."""
    query = select(func.max(AssistantVersion.version)).where(AssistantVersion.assistant_id == assistant_id)
    return await session.scalar(query) or 0


async def _keep(session: AsyncSession, draft: AssistantDraft, version: int) -> None:
    snapshot = draft.model_dump(mode="json")
    session.add(AssistantVersion(assistant_id=draft.id, version=version, snapshot=snapshot))
    await session.flush()
