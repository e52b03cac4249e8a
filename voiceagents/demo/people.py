"""Who is called in the demo, how does each behave, and how must each call end?

The contacts are a list as anybody has one (`contacts.csv`); how each simulated phone behaves is in `phones.json`.
"""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

from voiceagents.calls.states import Outcome

_HERE = Path(__file__).parent

SCRIPT = (
    "Hello {name}, this is the garden shop with a word about our new {tool}. Would you like to hear more? "
    "It costs twenty dollars this week only. Shall we send you the brochure to {email}?"
)
ASSISTANT_ID = "demo-garden-shop"
ASSISTANT_PROMPT = (
    "You answer the phone of a garden shop, in one or two short sentences a turn. "
    "The opening hours are Monday to Saturday from nine to six. "
    "The shop is in Mill Street. "
    "A delivery costs five dollars."
)
FIRST_MESSAGE = "Garden shop, good morning. How can I help you?"


@dataclass(frozen=True)
class Contact:
    """A line of the contact list, and what is expected of it."""

    name: str
    number: str
    email: str
    variables: dict[str, str]
    behaviour: str
    expected: Outcome
    dials: int
    """How often the carrier sees the number: never, when nobody may be dialled on it."""


@dataclass(frozen=True)
class Caller:
    """The person who calls in."""

    name: str
    number: str
    did: str
    behaviour: str
    expected: Outcome
    phone: Mapping[str, Any]


@cache
def _phones() -> dict[str, Any]:
    return cast("dict[str, Any]", json.loads((_HERE / "phones.json").read_text(encoding="utf-8")))


DID = str(_phones()["inbound"]["number"])
"""The number that is called in the demo, and that a lab without a scenario of its own answers."""


def contacts() -> list[Contact]:
    """The contact list, in its order."""
    rows = csv.DictReader((_HERE / "contacts.csv").read_text(encoding="utf-8").splitlines())
    return [_contact(row) for row in rows]


def _contact(row: dict[str, str]) -> Contact:
    own = dict(row)
    name, number, email = own.pop("name"), own.pop("phone"), own.pop("email")
    known = _phones()["outbound"][number]
    return Contact(name, number, email, own, known["behaviour"], Outcome(known["outcome"]), known.get("dials", 1))


def crowd(count: int) -> tuple[list[Contact], dict[str, Any]]:
    """More people, who behave like those of the contact list, and their phones.

    Args:
        count: how many; at most a hundred.
    """
    models = [contact for contact in contacts() if contact.dials]
    names = ("Iris", "Jonas", "Kim", "Lena", "Milan", "Nora", "Oscar", "Petra", "Ruth", "Sami", "Tara", "Viktor")
    people: list[Contact] = []
    phones: dict[str, Any] = {}
    for index in range(count):
        model = models[index % len(models)]
        number = f"+1303555{100 + index:04}"
        own = {"name": names[index % len(names)], "number": number, "email": f"person{index}@example.com"}
        people.append(replace(model, **own))
        phones[number] = _phones()["outbound"][model.number]["phone"]
    return people, phones


def caller() -> Caller:
    """The person who calls in."""
    known = _phones()["inbound"]
    return Caller(known["name"], known["caller"], DID, known["behaviour"], Outcome(known["outcome"]), known["phone"])


def scenario() -> dict[str, Any]:
    """The phones of all contacts, as a lab takes them."""
    return {"phones": {number: known["phone"] for number, known in _phones()["outbound"].items() if "phone" in known}}
