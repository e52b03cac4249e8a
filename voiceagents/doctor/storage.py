"""Is the database there, do its tables fit, and would recordings get to where they are to stay?"""

import asyncio

import psycopg

from voiceagents import schema, storage
from voiceagents.calls.bucket import Bucket, BucketProblem
from voiceagents.db import DatabaseProblem
from voiceagents.doctor.findings import Finding, broken, good, unknown
from voiceagents.settings import Settings


async def database(settings: Settings) -> tuple[Finding, str | None]:
    """The finding, and the address of a database whose tables can be read."""
    subject = "database"
    try:
        url = await asyncio.to_thread(storage.database_url, settings)
        revision = await asyncio.to_thread(schema.current, url)
    except (DatabaseProblem, psycopg.Error) as error:
        said, _, mend = str(error).partition("\n")
        return broken(subject, said, mend or "set DATABASE_URL, or mend what the message names"), None
    place = "embedded PostgreSQL in the data folder" if settings.database_url is None else "PostgreSQL by DATABASE_URL"
    finding = fits(place, revision, schema.head())
    return finding, url if revision == schema.head() else None


async def bucket(settings: Settings, *, passive: bool) -> Finding | None:
    """Whether the bucket for recordings takes files (passive: lets us in); None when there is to be none."""
    subject, found = "recordings", Bucket.of(settings)
    if found is None:
        return None
    try:
        await (found.look() if passive else found.check())
    except BucketProblem as error:
        return broken(subject, error.said, error.mend)
    return good(subject, f"{found.place} {'answers' if passive else 'takes files and deletes them'}")


def fits(place: str, revision: str | None, expected: str) -> Finding:
    """What the tables' revision means."""
    if revision == expected:
        return good("database", f"{place}, its tables fit (revision {revision})")
    if revision is None:
        return unknown("database", f"{place}, without tables", "the first start of anything makes them")
    return unknown(
        "database",
        f"{place}, tables at revision {revision}, {expected} is expected",
        "the next start of anything brings them up to date, or says why not",
    )
