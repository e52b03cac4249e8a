"""What does the model read out of a conversation that is over? One call of a tool, within a few seconds; without an
answer the rules' word stands."""

import asyncio
import json
import logging
from collections.abc import Sequence
from typing import Any

from livekit.agents import APIError
from livekit.agents.llm import LLM, ChatContext, function_tool

from voiceagents.calls import understanding
from voiceagents.calls.understanding import Line, Question, Reading

log = logging.getLogger("voiceagents.call")

_PATIENCE = 8.0


async def read(llm: LLM[Any], lines: Sequence[Line], question: Question) -> Reading | None:
    """Asks the model; None when it does not answer in time, or not to the question."""

    async def record(raw_arguments: dict[str, object]) -> str:
        return "recorded"

    tool = function_tool(record, raw_schema=understanding.tool_schema(question))
    context = ChatContext.empty()
    context.add_message(role="system", content=understanding.instructions(question))
    context.add_message(role="user", content=understanding.as_text(lines))
    try:
        async with asyncio.timeout(_PATIENCE):
            stream = llm.chat(chat_ctx=context, tools=[tool], tool_choice="required")
            async with stream:
                answer = await stream.collect()
        arguments = next((call.arguments for call in answer.tool_calls if call.name == understanding.TOOL), "null")
        return understanding.believed(json.loads(arguments), lines, question)
    except (TimeoutError, APIError, ValueError) as error:
        log.warning("CALL_NOT_READ | cause=%s", str(error) or type(error).__name__)
        return None
