"""Which ears, mind and voice does a call get? OpenAI's, any server that speaks the same HTTP contract, or our own
offline one.

Every use goes through livekit-plugins-openai. With neither OPENAI_API_KEY nor OPENAI_BASE_URL set, the worker starts
the local speech server on loopback and says so: that voice is for trying and testing.
"""

import logging
import os
import secrets
import ssl
import sys
import time
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
import openai as openai_client
from livekit.agents import NOT_GIVEN, vad
from livekit.agents.metrics import ModelUsageCollector
from livekit.plugins import openai, silero

from voiceagents.processes import Process, free_ports, spawn
from voiceagents.settings import Settings, SettingsError

log = logging.getLogger("voiceagents.speech")

# Set by whoever starts the local speech server, read by all who use it: job processes of ours, or the workers of
# one machine.
_URL, _KEY = "VOICEAGENTS_SPEECH_URL", "VOICEAGENTS_SPEECH_KEY"

LOCAL_LLM, LOCAL_STT, LOCAL_TTS, LOCAL_VOICE = "script-follower", "tiny.en", "hibari", "heart"


@dataclass(frozen=True)
class SpeechEndpoint:
    """Where speech comes from, and what to ask for there."""

    api_key: str
    base_url: str | None
    llm_model: str
    stt_model: str
    tts_model: str
    voice: str
    offline: bool = False

    @classmethod
    def from_settings(cls, settings: Settings) -> "SpeechEndpoint":
        """The configured OpenAI-compatible server."""
        key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "not-needed"
        return cls(
            key,
            settings.openai_base_url,
            settings.openai_llm_model,
            settings.openai_stt_model,
            settings.openai_tts_model,
            settings.openai_tts_voice,
        )

    @property
    def environment(self) -> dict[str, str]:
        """The settings that make another process use it, too."""
        return {
            "OPENAI_API_KEY": self.api_key,
            "OPENAI_LLM_MODEL": self.llm_model,
            "OPENAI_STT_MODEL": self.stt_model,
            "OPENAI_TTS_MODEL": self.tts_model,
            "OPENAI_TTS_VOICE": self.voice,
        } | ({"OPENAI_BASE_URL": self.base_url} if self.base_url else {})

    def _client(self) -> openai_client.AsyncClient:
        # A model that thinks for long must not cut a call off: the plugins' own client gives up after 5 s
        # without a byte.
        timeout = openai_client.Timeout(connect=10.0, read=20.0, write=10.0, pool=10.0)
        return openai_client.AsyncClient(
            api_key=self.api_key,
            base_url=self.base_url,
            max_retries=0,
            timeout=timeout,
            http_client=openai_client.DefaultAsyncHttpxClient(timeout=timeout, verify=_certificates()),
        )

    def session_models(
        self,
        *,
        llm_model: str | None = None,
        stt_model: str | None = None,
        voice: str | None = None,
        temperature: float | None = None,
        language: str = "en",
    ) -> "SessionModels":
        """Fresh STT, LLM and TTS for one call, all on one client.

        An assistant's own choices win, except offline, where there is one of each.
        """
        if self.offline:
            llm_model = stt_model = voice = None
        client = self._client()
        return SessionModels(
            client=client,
            stt=openai.STT(model=stt_model or self.stt_model, language=language, client=client),
            llm=openai.LLM(
                model=llm_model or self.llm_model,
                client=client,
                temperature=NOT_GIVEN if temperature is None else temperature,
            ),
            # PCM: nothing to decode, so the first frame can leave at once.
            tts=openai.TTS(model=self.tts_model, voice=voice or self.voice, client=client, response_format="pcm"),
        )


@dataclass(frozen=True)
class SessionModels:
    """The models of one call; `aclose` when it is over."""

    client: openai_client.AsyncClient
    stt: openai.STT
    llm: openai.LLM
    tts: openai.TTS
    _used: ModelUsageCollector = field(default_factory=ModelUsageCollector)

    def __post_init__(self) -> None:
        # Here and not at the session: the first words are made before it, and the call is read after it.
        for model in (self.stt, self.llm, self.tts):
            model.on("metrics_collected", self._used.collect)  # pyright: ignore[reportUnknownMemberType]

    def used(self) -> list[dict[str, Any]]:
        """What they took until now, model by model: tokens, characters, seconds of sound. What is zero is left out."""
        return [{name: value for name, value in usage if value} for usage in self._used.flatten()]

    async def aclose(self) -> None:
        await self.client.close()


@cache
def _certificates() -> ssl.SSLContext:
    # Reading the system's certificates takes a tenth of a second, in which a call on the same loop would not be heard.
    return ssl.create_default_context()


def endpoint(settings: Settings) -> SpeechEndpoint:
    """What calls of this process speak and listen with.

    Raises:
        SettingsError: offline, and no local speech server was started.
    """
    if not settings.offline_speech:
        return SpeechEndpoint.from_settings(settings)
    shared = shared_endpoint()
    if shared is None:
        raise SettingsError(
            "No speech: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set and no local speech server runs."
        )
    return shared


def shared_endpoint() -> SpeechEndpoint | None:
    """The local speech server that this process, or the one that started it, has running."""
    url, key = os.environ.get(_URL), os.environ.get(_KEY)
    if not url or not key:
        return None
    return SpeechEndpoint(key, url, LOCAL_LLM, LOCAL_STT, LOCAL_TTS, LOCAL_VOICE, offline=True)


def warm_up() -> None:
    """Loads what the first call would otherwise load while somebody waits on the line."""
    import_module("anyio._backends._asyncio")
    _certificates()


_PAUSE = 0.4


def load_vad() -> vad.VAD:
    """The voice activity detector, loaded once per process; its streams are per call."""
    return silero.VAD.load(min_silence_duration=_PAUSE)


class CallVAD(silero.VAD):
    """The loaded detector with a patience of its own, for one call."""

    @classmethod
    def beside(cls, loaded: vad.VAD) -> "CallVAD":
        """Shares the model, and nothing else.

        Raises:
            TypeError: it is not the detector that `load_vad` loads.
        """
        if not isinstance(loaded, silero.VAD):
            raise TypeError(f"a Silero detector is needed, not {type(loaded).__name__}")
        return cls(session=loaded._onnx_session, opts=replace(loaded._opts))  # pyright: ignore[reportPrivateUsage]

    def pause_after(self, seconds: float | None) -> None:
        """So many seconds of quiet end what was said; None: the usual."""
        self.update_options(min_silence_duration=_PAUSE if seconds is None else seconds)


class LocalSpeechServer:
    """The offline speech server as a child process on a free loopback port, gone when we are."""

    def __init__(self, log_folder: Path) -> None:
        self._log = log_folder / "speech.log"
        self._process: Process | None = None

    def start(self, *, seconds: float = 60.0) -> None:
        """Starts the server, waits until its models are loaded, and tells the environment of this process where it
        is.

        The server ends with the thread that calls this, so call it on the main one.

        Raises:
            SettingsError: it did not come up.
        """
        self._log.parent.mkdir(parents=True, exist_ok=True)
        (port,) = free_ports(1)
        key = secrets.token_urlsafe(24)
        command = [sys.executable, "-m", "voiceagents.speech", "--port", str(port)]
        self._process = spawn("speech", command, {_KEY: key}, self._log, outlives_starter=False)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.alive():
            try:
                if httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=1, trust_env=False).status_code == 200:
                    os.environ.update({_URL: f"http://127.0.0.1:{port}/v1", _KEY: key})
                    return
            except httpx.TransportError:
                time.sleep(0.05)  # not listening yet; there is no event to wait for
        tail = self._process.log_tail()
        self.stop()
        raise SettingsError(
            f"The offline speech server did not start. The end of {self._log}:\n{tail}\n"
            "Set OPENAI_API_KEY, or OPENAI_BASE_URL for a compatible server, to do without it."
        )

    def stop(self) -> None:
        """Ends the server."""
        if self._process is not None:
            self._process.stop(timeout=5)
            self._process = None
