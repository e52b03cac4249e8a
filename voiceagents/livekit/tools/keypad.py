"""Keys of the telephone: pressed for whoever listens at the other end, and asked of the caller."""

from contextlib import nullcontext
from typing import Any, cast

from livekit.agents import RunContext, function_tool
from livekit.agents.beta.tools import send_dtmf_events  # pyright: ignore[reportUnknownVariableType]
from livekit.agents.beta.workflows import GetDtmfTask
from livekit.agents.llm import FunctionTool, ToolError

from voiceagents.assistants.tool_options import CollectDigits
from voiceagents.livekit.discretion import Discretion

MOST_DIGITS = 32
REPORT = "<dtmf_inputs>"
"""Stands in what GetDtmfTask tells the model as the caller's turn: not words of theirs."""

_ASK = "Please type it on the keypad of your phone."

send_dtmf = cast("FunctionTool[Any, Any]", send_dtmf_events)
"""livekit-agents' own tool."""


def collect_digits(options: CollectDigits, discretion: Discretion) -> FunctionTool[Any, Any]:
    """livekit-agents' task that waits for keys, and takes digits that are spoken instead."""
    if options.secret:
        discretion.hides_keys = True

    @function_tool
    async def collect_digits(ctx: RunContext[Any], count: int, ask: str = _ASK) -> str:
        """Has the caller type digits on the keypad of their phone. Asks for them, waits, and answers with the digits.

        Args:
            count: how many digits are expected.
            ask: what to say to the caller, such as "Please type your customer number on your keypad."
        """
        if not 1 <= count <= MOST_DIGITS:
            raise ToolError(f"count is 1 to {MOST_DIGITS} digits, not {count}.")
        words = " ".join(ask.replace('"', "'").split())[:300]
        with discretion.asking() if options.secret else nullcontext():
            answer = await GetDtmfTask(
                num_digits=count,
                ask_for_confirmation=options.confirm,
                dtmf_input_timeout=options.timeout,
                extra_instructions=f'Begin with: "{words}"',
            )
            if options.secret:
                discretion.keep_to_ourselves(answer.user_input)
        return f"The caller typed {answer.user_input}."

    return collect_digits
