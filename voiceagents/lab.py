"""How is a whole telephone network started on one machine, and how does nothing of it stay behind?

A lab is redis-server, livekit-server, the SIP gateway and the carrier, on loopback, with free ports, fresh keys and a
folder of its own; any number run side by side. `async with Lab() as lab` is for tests and benchmarks: it ends with the
process that started it. `up`, `down` and `status` are for the command line: that lab outlives its starter, and
`lab.json` in its folder remembers it.
"""

import asyncio
import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self, cast

import httpx
from livekit import api

from voiceagents.carrier import Carrier, spoken_scenario
from voiceagents.processes import Process, free_ports, spawn

HOST = "127.0.0.1"
OUTBOUND_NUMBER = "+15550100000"
START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = {
    "livekit-server": 0.5
}  # it would wait for its rooms to empty; the others end at once or within the default
DEFAULT_STOP_TIMEOUT_S = 6.0
STATE_FILE = "lab.json"
STOP_ORDER = ("carrier", "gateway", "livekit-server", "redis-server")  # callers first, so that calls end with a BYE
PORTS = ("redis", "livekit", "rtc_tcp", "rtc_udp", "gateway_sip", "gateway_http", "carrier_sip", "carrier_http")


class LabError(Exception):
    """The lab cannot do what was asked; the message says what is missing and how to mend it."""


@dataclass(frozen=True)
class InboundNumber:
    """A DID of the lab: who calls it through the carrier reaches the agent named in its dispatch rule."""

    number: str
    trunk_id: str
    dispatch_rule_id: str


def _voice_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "voiceagents" / "voices"


def program(name: str) -> str:
    """The path of one of the lab's programs."""
    if name == "redis-server":
        if found := shutil.which(name):
            return found
        raise LabError("redis-server is not installed: apt-get install redis-server")
    folder = Path(os.environ.get("VOICEAGENTS_LAB_BIN") or Path(__file__).parent.parent / "lab" / "bin")
    path = folder / name
    if not os.access(path, os.X_OK):
        raise LabError(f"{path} is not built: run `make lab` in the project's folder (it needs Go and a C compiler)")
    return str(path)


class Lab:
    """A lab that runs from `start` to `stop`. Without a folder it uses a temporary one, which goes with it."""

    def __init__(
        self,
        folder: Path | str | None = None,
        *,
        scenario: Mapping[str, Any] | None = None,
        webhook_urls: Sequence[str] = (),
        detached: bool = False,
    ) -> None:
        self._temporary = tempfile.TemporaryDirectory(prefix="lab-") if folder is None else None
        self.folder = Path(self._temporary.name if self._temporary else cast(Path | str, folder)).absolute()
        self._scenario = scenario or {}
        self._webhook_urls = list(webhook_urls)
        self._detached = detached
        self._carrier: Carrier | None = None
        self.ports: dict[str, int] = {}
        self.api_key = ""
        self.api_secret = ""
        self.processes: dict[str, Process] = {}
        self.outbound_trunk_id = ""
        self.inbound_numbers: dict[str, InboundNumber] = {}

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    @property
    def livekit_url(self) -> str:
        return f"ws://{HOST}:{self.ports['livekit']}"

    @property
    def gateway_url(self) -> str:
        return f"http://{HOST}:{self.ports['gateway_http']}"

    @property
    def carrier(self) -> Carrier:
        if self._carrier is None:
            url = f"http://{HOST}:{self.ports['carrier_http']}"
            self._carrier = Carrier(url, self.folder / "carrier", _voice_folder())
        return self._carrier

    def env(self) -> dict[str, str]:
        """What a program needs in its environment to use this lab."""
        return {
            "LIVEKIT_URL": self.livekit_url,
            "LIVEKIT_API_KEY": self.api_key,
            "LIVEKIT_API_SECRET": self.api_secret,
            "SIP_TRUNK_ID": self.outbound_trunk_id,
        }

    def livekit(self) -> api.LiveKitAPI:
        """A client of LiveKit's API, to be closed by who asked for it."""
        return api.LiveKitAPI(self.livekit_url, self.api_key, self.api_secret, failover=False)

    async def start(self) -> None:
        """Start all processes, wait until each can be used, and connect LiveKit with the carrier."""
        programs = {name: program(name) for name in STOP_ORDER}  # before anything runs: all or nothing
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        self.api_key = f"API{secrets.token_hex(6)}"
        self.api_secret = secrets.token_urlsafe(36)
        try:
            await asyncio.to_thread(self._write_configuration)
            self._spawn("redis-server", programs["redis-server"])
            await self._ready("redis-server")
            for name in ("livekit-server", "gateway", "carrier"):
                self._spawn(name, programs[name])
            self._remember()
            await asyncio.gather(*(self._ready(name) for name in ("livekit-server", "gateway", "carrier")))
            await self._create_outbound_trunk()
            self._remember()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End every process, and wait until each is gone."""
        if self._carrier is not None:
            await self._carrier.aclose()
            self._carrier = None
        for name in STOP_ORDER:
            if name in self.processes:
                await self._end(name)
        self.processes.clear()
        (self.folder / STATE_FILE).unlink(missing_ok=True)
        if self._temporary is not None:
            self._temporary.cleanup()

    async def _end(self, name: str) -> None:
        await asyncio.to_thread(self.processes[name].stop, STOP_TIMEOUT_S.get(name, DEFAULT_STOP_TIMEOUT_S))

    async def kill(self, name: str) -> None:
        """Kill one process without a warning, as a crash would."""
        await asyncio.to_thread(self.processes[name].kill)

    async def restart(self, name: str) -> None:
        """Start one process again on its old ports, ending it first if it still runs."""
        await self._end(name)
        self._spawn(name, program(name))
        await self._ready(name)
        self._remember()

    async def add_inbound_number(self, number: str, *, agent_name: str, metadata: str = "") -> InboundNumber:
        """Let a DID be called: each caller gets a room of their own, with this agent in it."""
        async with self.livekit() as livekit:
            trunk = await livekit.sip.create_inbound_trunk(
                api.CreateSIPInboundTrunkRequest(trunk=api.SIPInboundTrunkInfo(name=f"lab {number}", numbers=[number]))
            )
            agent = api.RoomAgentDispatch(agent_name=agent_name, metadata=metadata)
            individual = api.SIPDispatchRuleIndividual(room_prefix=f"did-{number}")
            rule = await livekit.sip.create_dispatch_rule(
                api.CreateSIPDispatchRuleRequest(
                    dispatch_rule=api.SIPDispatchRuleInfo(
                        name=f"lab {number}",
                        rule=api.SIPDispatchRule(dispatch_rule_individual=individual),
                        trunk_ids=[trunk.sip_trunk_id],
                        room_config=api.RoomConfiguration(agents=[agent]),
                    )
                )
            )
        added = InboundNumber(number, trunk.sip_trunk_id, rule.sip_dispatch_rule_id)
        self.inbound_numbers[number] = added
        self._remember()
        return added

    async def _create_outbound_trunk(self) -> None:
        trunk = api.SIPOutboundTrunkInfo(
            name="lab carrier", address=f"{HOST}:{self.ports['carrier_sip']}", numbers=[OUTBOUND_NUMBER]
        )
        async with self.livekit() as livekit:
            created = await livekit.sip.create_outbound_trunk(api.CreateSIPOutboundTrunkRequest(trunk=trunk))
        self.outbound_trunk_id = created.sip_trunk_id

    def _write_configuration(self) -> None:
        # Trunks and rules of an earlier lab in this folder would stand in the way of this one's; `restart` keeps them.
        shutil.rmtree(self.folder / "redis", ignore_errors=True)
        for name in ("redis", "carrier", "logs"):
            (self.folder / name).mkdir(exist_ok=True)
        _write_private(self.folder / "livekit.yaml", json.dumps(self._livekit_configuration(), indent=1))
        scenario = spoken_scenario(self._scenario, _voice_folder())
        (self.folder / "phones.json").write_text(json.dumps(scenario, indent=1))

    def _livekit_configuration(self) -> dict[str, Any]:
        configuration: dict[str, Any] = {
            "port": self.ports["livekit"],
            "bind_addresses": [HOST],
            "rtc": {
                "tcp_port": self.ports["rtc_tcp"],
                "udp_port": self.ports["rtc_udp"],
                "node_ip": HOST,
                # Else LiveKit sends every client to public STUN servers by name: 45 threads and sockets a call, each
                # waiting ten seconds for a name server that a machine without a network does not have.
                "stun_servers": [f"{HOST}:{self.ports['rtc_udp']}"],
                "use_external_ip": False,
                "enable_loopback_candidate": True,
                "interfaces": {"includes": ["lo"]},
            },
            "redis": {"address": f"{HOST}:{self.ports['redis']}"},
            "keys": {self.api_key: self.api_secret},
            "room": {"auto_create": True},
            "logging": {"level": "info", "json": True},
        }
        if self._webhook_urls:
            configuration["webhook"] = {"api_key": self.api_key, "urls": self._webhook_urls}
        return configuration

    def _arguments(self, name: str) -> list[str]:
        at = {port: f"{HOST}:{number}" for port, number in self.ports.items()}
        folder = self.folder
        match name:
            case "redis-server":
                kept = ["--save", "", "--appendonly", "yes", "--dir", str(folder / "redis")]
                return ["--bind", HOST, "--port", str(self.ports["redis"]), *kept]
            case "livekit-server":
                return ["--config", str(folder / "livekit.yaml")]
            case "gateway":
                room = ["--redis", at["redis"], "--livekit-url", self.livekit_url]
                return [*room, "--sip", at["gateway_sip"], "--http", at["gateway_http"]]
            case "carrier":
                files = ["--scenario", str(folder / "phones.json"), "--dir", str(folder / "carrier")]
                sip = ["--sip", at["carrier_sip"], "--gateway", at["gateway_sip"]]
                return [*sip, "--http", at["carrier_http"], *files]
            case _:
                raise LabError(f"the lab has no process {name!r}, only {', '.join(STOP_ORDER)}")

    def _spawn(self, name: str, program: str) -> None:
        keys = {"LIVEKIT_API_KEY": self.api_key, "LIVEKIT_API_SECRET": self.api_secret} if name == "gateway" else {}
        log = self.folder / "logs" / f"{name}.log"
        arguments = self._arguments(name)
        self.processes[name] = spawn(name, [program, *arguments], keys, log, outlives_starter=self._detached)

    async def _ready(self, name: str) -> None:
        """Return as soon as a process answers; raise with the end of its log if it dies or stays silent."""
        process = self.processes[name]
        deadline = time.monotonic() + START_TIMEOUT_S
        async with httpx.AsyncClient(timeout=2, trust_env=False) as http:
            while not await self._answers(name, http):
                if not process.alive() or time.monotonic() > deadline:
                    fate = "does not answer" if process.alive() else "ended at its start"
                    raise LabError(f"{name} {fate}; the end of {process.log}:\n{process.log_tail()}")
                await asyncio.sleep(0.02)

    async def _answers(self, name: str, http: httpx.AsyncClient) -> bool:
        try:
            match name:
                case "redis-server":
                    reader, writer = await asyncio.open_connection(HOST, self.ports["redis"])
                    writer.write(b"PING\r\n")
                    answer = await asyncio.wait_for(reader.readline(), 2)
                    writer.close()
                    return answer.startswith(b"+PONG")
                case "livekit-server":
                    return (await http.get(f"http://{HOST}:{self.ports['livekit']}/")).is_success
                case _:
                    return (await http.get(f"http://{HOST}:{self.ports[f'{name}_http']}/healthz")).is_success
        except (OSError, TimeoutError, httpx.TransportError):
            return False

    def _remember(self) -> None:
        state = {
            "ports": self.ports,
            "api_key": self.api_key,
            "api_secret": self.api_secret,
            "outbound_trunk_id": self.outbound_trunk_id,
            "inbound_numbers": {number: asdict(inbound) for number, inbound in self.inbound_numbers.items()},
            "processes": {name: process.as_json() for name, process in self.processes.items()},
        }
        _write_private(self.folder / STATE_FILE, json.dumps(state, indent=1))

    @classmethod
    def remembered(cls, folder: Path | str) -> "Lab | None":
        """The lab that was started in a folder, or None if there is none."""
        lab = cls(folder, detached=True)
        try:
            state: dict[str, Any] = json.loads((lab.folder / STATE_FILE).read_text())
        except FileNotFoundError:
            return None
        lab.ports = state["ports"]
        lab.api_key, lab.api_secret = state["api_key"], state["api_secret"]
        lab.outbound_trunk_id = state["outbound_trunk_id"]
        lab.inbound_numbers = {n: InboundNumber(**fields) for n, fields in state["inbound_numbers"].items()}
        lab.processes = {name: Process.from_json(fields) for name, fields in state["processes"].items()}
        return lab

    def running(self) -> bool:
        """Whether all processes run."""
        return all(name in self.processes and self.processes[name].alive() for name in STOP_ORDER)


def _write_private(path: Path, text: str) -> None:
    """Replace a file that holds a secret: readable by its owner only, and never half written."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.part")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    os.replace(unfinished, path)


@contextmanager
def _alone(folder: Path | str) -> Generator[None]:
    """Let one `up` or `down` at a time work in a folder, or two would start two labs and remember one."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    with open(Path(folder) / "lab.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(folder: Path | str, *, scenario: Mapping[str, Any] | None = None, webhook_urls: Sequence[str] = ()) -> Lab:
    """Start a lab that runs until `down`; if it runs already, answer that one."""
    with _alone(folder):
        existing = Lab.remembered(folder)
        if existing is not None:
            if existing.running():
                return existing
            asyncio.run(existing.stop())
        lab = Lab(folder, scenario=scenario, webhook_urls=webhook_urls, detached=True)
        asyncio.run(lab.start())
        return lab


def down(folder: Path | str) -> bool:
    """End the lab of a folder; False if there was none."""
    with _alone(folder):
        lab = Lab.remembered(folder)
        if lab is None:
            return False
        asyncio.run(lab.stop())
        return True


def status(folder: Path | str) -> dict[str, Any]:
    """What runs in a folder: `{"running": bool, "livekit_url", "processes": {name: {"pid", "alive", "log"}}}`."""
    lab = Lab.remembered(folder)
    if lab is None:
        return {"running": False, "livekit_url": None, "processes": {}}
    processes = {
        name: {"pid": process.pid, "alive": process.alive(), "log": str(process.log)}
        for name, process in lab.processes.items()
    }
    return {"running": lab.running(), "livekit_url": lab.livekit_url, "processes": processes}
