"""How fast does a large contact list come in, and how much memory does it take?

    python -m bench.contacts_import --rows 1000000

A list is written once: US, British and German numbers, some in national form, names, email addresses, time zones, a
column of its own, one row in a hundred a repeat and one in a hundred no number. The baseline imports the first
twentieth of it with what comes to mind first: csv.DictReader, phonenumbers, executemany. Both run in a process of their
own, on one PostgreSQL, each into an empty campaign.
"""

import argparse
import asyncio
import csv
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID, uuid4

import phonenumbers
import psycopg

from voiceagents.campaigns.contacts import import_contacts
from voiceagents.campaigns.models import Campaign
from voiceagents.db import Database
from voiceagents.postgres import EmbeddedPostgres
from voiceagents.schema import migrate

BASELINE_SHARE = 20
INSERT = (
    "INSERT INTO contacts (campaign_id, phone, name, email, time_zone, variables)"
    " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING"
)


def write_list(path: Path, rows: int, national: float) -> None:
    """A list of that many rows; the share `national` of the numbers is written without a country code."""
    chance = random.Random(1)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["Phone number", "First name", "Last name", "Email", "Time zone", "City", "Amount due"])
        previous = "+12025550143"
        for number in range(rows):
            kind = chance.random()
            if kind < 0.01:
                phone = previous
            elif kind < 0.02:
                phone = f"ask {number}"
            elif kind < 0.02 + national:
                phone = f"(202) {200 + number % 800:03d}-{chance.randrange(10_000):04d}"
            elif kind < 0.8:
                phone = f"+1{chance.choice((202, 212, 312, 415))}{chance.randrange(2_000_000, 10_000_000):07d}"
            elif kind < 0.9:
                phone = f"+4420{chance.randrange(70_000_000, 84_000_000)}"
            else:
                phone = f"+4930{chance.randrange(10_000_000, 100_000_000)}"
            previous = phone if phone.startswith("+") else previous
            writer.writerow(
                [phone, "Ana", f"López {number}", f"ana{number}@example.com", "America/New_York", "Berlin", number]
            )


async def ours(url: str, campaign: UUID, path: Path) -> int:
    database = Database(url)
    report = await import_contacts(
        database, campaign, path, default_region="US", error_file=path.with_suffix(f".{campaign}.refused.csv")
    )
    await database.close()
    assert report.adds_up
    print(
        f"read {report.read}, added {report.added}, twice in the file {report.duplicates_in_file},"
        f" in the list before {report.duplicates_in_list}, refused {report.refused}",
        file=sys.stderr,
    )
    return report.read


def baseline(url: str, campaign: UUID, path: Path, rows: int) -> int:
    """The plain loop."""
    read, batch = 0, []
    with psycopg.connect(url) as connection, path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if read == rows:
                break
            read += 1
            try:
                parsed = phonenumbers.parse(row["Phone number"], "US")
            except phonenumbers.NumberParseException:
                continue
            if not phonenumbers.is_valid_number(parsed):
                continue
            phone = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
            own = json.dumps({"City": row["City"], "Amount due": row["Amount due"]})
            name = f"{row['First name']} {row['Last name']}"
            batch.append((campaign, phone, name, row["Email"], row["Time zone"], own))
            if len(batch) == 1000:
                connection.cursor().executemany(INSERT, batch)
                batch.clear()
        connection.cursor().executemany(INSERT, batch)
    return read


async def new_campaign(url: str) -> UUID:
    database = Database(url)
    campaign = Campaign(id=uuid4(), name="bench")
    async with database.transaction() as session:
        session.add(campaign)
    await database.close()
    return campaign.id


def measured(kind: str, url: str, path: Path, rows: int = 0, campaign: UUID | None = None) -> list[float]:
    """Rows, seconds, seconds of this side's processor and peak memory in MB of one import in a process of its own."""
    into = campaign or asyncio.run(new_campaign(url))
    command = [sys.executable, "-m", "bench.contacts_import", "--one", kind, url, str(into), str(path), str(rows)]
    ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ran.stdout)


def one(kind: str, url: str, campaign: UUID, path: Path, rows: int) -> None:
    started = time.monotonic()
    read = asyncio.run(ours(url, campaign, path)) if kind == "ours" else baseline(url, campaign, path, rows)
    seconds = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([read, seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024]))


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        kind, url, campaign, path, rows = sys.argv[2:]
        one(kind, url, UUID(campaign), Path(path), int(rows))
        return
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--national", type=float, default=0.1, help="share of numbers without a country code")
    options.add_argument("--database-url", help="an empty database; default: an embedded one for this run")
    chosen = options.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="voiceagents-bench-"))
    folder.chmod(0o755)
    server = None if chosen.database_url else EmbeddedPostgres(folder / "postgres")
    try:
        url = chosen.database_url or server.start()
        migrate(url)
        path = folder / "contacts.csv"
        write_list(path, chosen.rows, chosen.national)
        print(f"{chosen.rows} rows, {path.stat().st_size / 1e6:.0f} MB, {chosen.national:.0%} of them national\n")
        plain = measured("baseline", url, path, max(1, chosen.rows // BASELINE_SHARE))
        small = measured("ours", url, head_of(path, chosen.rows // BASELINE_SHARE))
        campaign = asyncio.run(new_campaign(url))
        whole = measured("ours", url, path, campaign=campaign)
        again = measured("ours", url, path, campaign=campaign)
        print(f"\n{'':28}{'rows':>10}{'seconds':>10}{'rows/s':>10}{'CPU µs/row':>12}{'peak MB':>10}")
        for name, (read, seconds, cpu, peak) in (
            ("plain loop, executemany", plain),
            ("import, the same rows", small),
            ("import, all rows", whole),
            ("import again, nothing new", again),
        ):
            print(
                f"{name:28}{read:>10.0f}{seconds:>10.1f}{read / seconds:>10.0f}{cpu / read * 1e6:>12.0f}{peak:>10.0f}"
            )
        ratio = (whole[0] / whole[1]) / (plain[0] / plain[1])
        print(f"\nrows/s against the plain loop: {ratio:.1f} x")
        spared = (whole[2] / whole[0]) / (plain[2] / plain[0])
        print(f"processor time a row on this side against the plain loop: {spared:.2f} x")
        print(f"peak memory, all rows against a {BASELINE_SHARE}th of them: {whole[3] / small[3]:.2f} x")
    finally:
        if server is not None:
            server.stop("immediate")
        shutil.rmtree(folder, ignore_errors=True)


def head_of(path: Path, rows: int) -> Path:
    """The first rows of the list as a file of their own."""
    small = path.with_name("head.csv")
    with path.open("rb") as whole, small.open("wb") as part:
        for _, line in zip(range(rows + 1), whole, strict=False):
            part.write(line)
    return small


if __name__ == "__main__":
    main()
