"""Do calls have ears, a mind and a voice?"""

import asyncio
import time

import httpx

from voiceagents.doctor.findings import Finding, broken, good, unknown
from voiceagents.livekit.speech import LOCAL_STT, LOCAL_TTS, LOCAL_VOICE, LocalSpeechServer, shared_endpoint
from voiceagents.settings import Settings, SettingsError

SENTENCE = "Good morning, this is a test of the voice and of the ears."
_OPENAI = "https://api.openai.com/v1"


async def check(settings: Settings) -> Finding:
    """OpenAI or what stands in for it answers, or our own offline voice understands itself."""
    return await _remote(settings) if not settings.offline_speech else await _offline(settings)


async def _remote(settings: Settings) -> Finding:
    base = (settings.openai_base_url or _OPENAI).rstrip("/")
    key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "not-needed"
    try:
        async with httpx.AsyncClient(timeout=15) as http:
            answer = await http.get(f"{base}/models", headers={"Authorization": f"Bearer {key}"})
        known = [str(model["id"]) for model in answer.json()["data"]] if answer.is_success else []
    except httpx.TransportError as error:
        return broken("speech", f"{base} cannot be reached ({error or type(error).__name__})", "mend OPENAI_BASE_URL")
    except (ValueError, KeyError, TypeError):
        return unknown("speech", f"{base} answers, but lists no models as OpenAI does")
    wanted = [settings.openai_llm_model, settings.openai_stt_model, settings.openai_tts_model]
    return judged(base, answer.status_code, known, wanted)


def judged(base: str, status: int, known: list[str], wanted: list[str]) -> Finding:
    """What the answer to `GET /models` means."""
    if status in (401, 403):
        return broken(
            "speech", f"{base} refuses the key (HTTP {status})", "OPENAI_API_KEY must be a key of this server"
        )
    if status >= 400:
        return unknown("speech", f"{base} answers, but not what models it has (HTTP {status})")
    missing = [model for model in wanted if model not in known]
    if missing:
        mend = "set OPENAI_LLM_MODEL, OPENAI_STT_MODEL and OPENAI_TTS_MODEL to models it has"
        return unknown("speech", f"{base} does not list {', '.join(missing)}", mend)
    return good("speech", f"{base} takes the key and has {', '.join(wanted)}")


async def _offline(settings: Settings) -> Finding:
    started = time.monotonic()
    server = LocalSpeechServer(settings.voiceagents_data)
    try:
        server.start()
        endpoint = shared_endpoint()
        assert endpoint is not None, "a server that has started is shared"
        heard = await asyncio.to_thread(_said_and_heard, f"{endpoint.base_url}", endpoint.api_key)
    except (SettingsError, httpx.HTTPError) as error:
        said, _, mend = str(error).partition("\n")
        return broken(
            "speech", f"the offline voice does not work: {said}", mend or "set OPENAI_API_KEY to do without it"
        )
    finally:
        server.stop()
    return understood(heard, time.monotonic() - started)


def _said_and_heard(base: str, key: str) -> str:
    with httpx.Client(timeout=30, trust_env=False, headers={"Authorization": f"Bearer {key}"}) as http:
        spoken = http.post(
            f"{base}/audio/speech",
            json={"model": LOCAL_TTS, "voice": LOCAL_VOICE, "input": SENTENCE, "response_format": "wav"},
        ).raise_for_status()
        heard = http.post(
            f"{base}/audio/transcriptions",
            data={"model": LOCAL_STT},
            files={"file": ("sentence.wav", spoken.content, "audio/wav")},
        ).raise_for_status()
    return str(heard.json()["text"])


def understood(heard: str, seconds: float) -> Finding:
    """Whether the sentence came back."""
    said, came = _words(SENTENCE), _words(heard)
    if len(said & came) >= 0.7 * len(said):
        return good("speech", f"offline voice (no OPENAI_API_KEY): started, spoke and understood in {seconds:.1f} s")
    return broken("speech", f"the offline voice said {SENTENCE!r} and heard {heard!r}", "reinstall: make setup")


def _words(text: str) -> set[str]:
    return set("".join(c if c.isalpha() else " " for c in text.lower()).split())
