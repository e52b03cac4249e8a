"""What can be asked of the simulated telephone company, and what did it witness?

A client of the lab's carrier (`lab/carrier`): give numbers a behaviour, place calls to a DID, hang a phone up, wait for
what happens on the wire, and read the ledger of every INVITE.
"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, cast

import httpx

from voiceagents import voices

Phone = Mapping[str, Any]
Event = dict[str, Any]
Call = dict[str, Any]

LONGEST_POLL_S = 20.0


class CarrierError(Exception):
    """The carrier refused a request; the message is its own."""


def spoken(phone: Phone, voice_folder: Path) -> dict[str, Any]:
    """The phone with each `say` line spoken and replaced by the `play` of its recording."""

    def play(step: Mapping[str, Any]) -> dict[str, Any]:
        if "say" not in step:
            return dict(step)
        voice = str(step.get("voice", voices.DEFAULT_VOICE))
        return {"play": str(voices.render(str(step["say"]), voice, voice_folder))}

    steps = cast(Sequence[Mapping[str, Any]], phone.get("steps", ()))
    return {**phone, "steps": [play(step) for step in steps]}


def read_scenario(path: Path) -> dict[str, Any]:
    """A scenario file; the recordings it names are found from its own folder."""
    try:
        scenario = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise CarrierError(f"{path}: {error}") from error
    if not isinstance(scenario, dict):
        raise CarrierError(f"{path}: a scenario is a JSON object")

    def found(value: Any, key: str = "") -> Any:
        match value:
            case str() if key in ("play", "early_media"):
                return str(path.parent.absolute() / value)
            case dict():
                return {name: found(inner, name) for name, inner in cast(dict[str, Any], value).items()}
            case list():
                return [found(inner) for inner in cast(list[Any], value)]
            case _:
                return value

    return found(scenario)


def spoken_scenario(scenario: Mapping[str, Any], voice_folder: Path) -> dict[str, Any]:
    """A scenario as the carrier reads it, from one that may hold `say` lines."""
    phones = cast(Mapping[str, Phone], scenario.get("phones", {}))
    ready = {**scenario, "phones": {number: spoken(phone, voice_folder) for number, phone in phones.items()}}
    if "default" in scenario:
        ready["default"] = spoken(cast(Phone, scenario["default"]), voice_folder)
    return ready


class Carrier:
    """One carrier, by its HTTP address. `invites_path` is its ledger, readable even when the carrier is gone."""

    def __init__(self, url: str, folder: Path, voice_folder: Path) -> None:
        self.invites_path = folder / "invites.jsonl"
        self._voice_folder = voice_folder
        self._http = httpx.AsyncClient(base_url=url, timeout=LONGEST_POLL_S + 10, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _ask(self, method: str, path: str, **options: Any) -> Any:
        response = await self._http.request(method, path, **options)
        if response.is_error:
            raise CarrierError(f"{method} {path}: {response.text.strip()}")
        return response.json()

    async def put_phones(self, phones: Mapping[str, Phone]) -> None:
        """Add or replace numbers; `default` stands for all numbers that are not listed."""
        ready = await asyncio.to_thread(lambda: {n: spoken(p, self._voice_folder) for n, p in phones.items()})
        await self._ask("PUT", "/phones", json=ready)

    async def limit(self, calls_per_second: int) -> None:
        """Refuse calls above a rate with 503; 0 takes the limit away."""
        await self._ask("PUT", "/limits", json={"cps": calls_per_second})

    async def place_call(self, to: str, phone: Phone | None = None, *, caller: str = "+12025550111") -> str:
        """Call a DID and answer with the SIP Call-ID at once. An empty caller hides the number."""
        ready = await asyncio.to_thread(spoken, phone or {}, self._voice_folder)
        placed = await self._ask("POST", "/calls", json={"from": caller, "to": to, "phone": ready})
        return str(placed["sip_call_id"])

    async def hang_up(self, sip_call_id: str) -> Call:
        """The phone of this call hangs up now; answers the call as it then is."""
        return cast(Call, await self._ask("DELETE", f"/calls/{sip_call_id}"))

    async def calls(self, **match: Any) -> list[Call]:
        """The calls so far whose fields have the given values, in the order of their INVITEs."""
        every = cast(list[Call], await self._ask("GET", "/calls"))
        return [call for call in every if _matches(call, match)]

    async def call(self, sip_call_id: str) -> Call:
        found = await self.calls(sip_call_id=sip_call_id)
        if not found:
            raise CarrierError(f"no call {sip_call_id}")
        return found[0]

    async def wait_for(self, *events: str, within: float = 30.0, since: float = 0.0, **match: Any) -> Event:
        """The first event of these kinds with the given fields (`to=`, `sip_call_id=`, …), none older than `since`."""
        deadline = time.monotonic() + within
        seen = 0
        while (left := deadline - time.monotonic()) > 0:
            wait_ms = int(min(left, LONGEST_POLL_S) * 1000)
            fresh = cast(list[Event], await self._ask("GET", "/events", params={"from": seen, "wait_ms": wait_ms}))
            seen += len(fresh)
            for found in fresh:
                if found["event"] in events and found["time"] >= since and _matches(found, match):
                    return found
        wanted = " or ".join(events)
        raise TimeoutError(f"no {wanted} with {match} within {within:g} s; the last events are {self.ledger()[-5:]}")

    async def wait_until_over(self, sip_call_id: str, *, within: float = 60.0) -> Call:
        """The call once it is over, however it ended."""
        await self.wait_for("ended", "rejected", "cancelled", within=within, sip_call_id=sip_call_id)
        return await self.call(sip_call_id)

    def ledger(self) -> list[Event]:
        """Every event so far, from the file."""
        if not self.invites_path.exists():
            return []
        return [json.loads(line) for line in self.invites_path.read_text().splitlines()]

    def invites(self, **match: Any) -> list[Event]:
        """What was really dialled: the INVITEs with the given fields."""
        return [event for event in self.ledger() if event["event"] == "invite" and _matches(event, match)]


def _matches(fields: Mapping[str, Any], match: Mapping[str, Any]) -> bool:
    return all(fields.get(key) == value for key, value in match.items())
