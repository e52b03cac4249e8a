"""The stand-in for OpenAI's servers keeps the contract that tests rely on, faults included."""

import time
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, APITimeoutError, function_tool, llm
from livekit.plugins import openai as plugin

from tests.openai_contract import Contract, Fault, ToolCall, serve

pytestmark = pytest.mark.stack

ONCE = APIConnectOptions(max_retry=0, timeout=5)


@pytest.fixture
async def contract() -> Contract:
    return Contract(replies=["Hi Ana, how are you?", ToolCall("end_call")], transcripts=["hello there"])


@pytest.fixture
async def client(contract: Contract) -> AsyncIterator[openai.AsyncClient]:
    async with (
        serve(contract) as base_url,
        openai.AsyncClient(api_key=contract.api_key, base_url=base_url, max_retries=0, timeout=10) as client,
    ):
        yield client


@function_tool
async def end_call() -> None:
    """Ends the call."""


async def _said(client: openai.AsyncClient, patience: float = 5.0) -> Any:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello?")
    once = APIConnectOptions(max_retry=0, timeout=patience)
    return await plugin.LLM(model="gpt-4o-mini", client=client).chat(chat_ctx=context, conn_options=once).collect()


async def test_scripted_replies_and_transcripts_come_in_their_order(
    client: openai.AsyncClient, contract: Contract
) -> None:
    assert (await _said(client)).text == "Hi Ana, how are you?"
    assert [call.name for call in (await _said(client)).tool_calls] == ["end_call"]
    voice = plugin.TTS(model="gpt-4o-mini-tts", client=client, response_format="pcm")
    frame = await voice.synthesize("One two three.", conn_options=ONCE).collect()
    heard = await plugin.STT(model="gpt-4o-transcribe", client=client).recognize([frame], conn_options=ONCE)
    assert heard.alternatives[0].text == "hello there"
    assert contract.spoken == ["One two three."]
    assert contract.chats[0]["model"] == "gpt-4o-mini"


async def test_a_tool_choice_without_tools_is_refused(client: openai.AsyncClient) -> None:
    messages: Any = [{"role": "user", "content": "Hello?"}]
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model="gpt-4o-mini", messages=messages, tool_choice="auto")
    with pytest.raises(openai.BadRequestError):
        await client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=[])


@pytest.mark.parametrize(("fault", "status"), [(Fault.RATE_LIMIT, 429), (Fault.SERVER_ERROR, 500)])
async def test_a_refusal_happens_once_and_then_all_is_well(
    client: openai.AsyncClient, contract: Contract, fault: Fault, status: int
) -> None:
    contract.fail("chat", fault)
    with pytest.raises(APIStatusError) as refused:
        await _said(client)
    assert refused.value.status_code == status
    assert (await _said(client)).text == "Hi Ana, how are you?"


async def test_a_slow_first_token_is_late_and_a_short_patience_runs_out(
    client: openai.AsyncClient, contract: Contract
) -> None:
    contract.slow_seconds = 0.6
    contract.fail("chat", Fault.SLOW_FIRST_TOKEN, Fault.SLOW_FIRST_TOKEN)
    started = time.perf_counter()
    assert (await _said(client)).text
    assert time.perf_counter() - started >= 0.6
    with pytest.raises(APITimeoutError):
        await _said(client, patience=0.2)


async def test_a_connection_dropped_midway_is_an_error_and_not_a_short_reply(
    client: openai.AsyncClient, contract: Contract
) -> None:
    contract.fail("chat", Fault.DROPPED_MIDWAY)
    with pytest.raises(APIConnectionError):
        await _said(client)
