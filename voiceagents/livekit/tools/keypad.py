"""Keys of the telephone: pressed for whoever listens at the other end, asked of the caller, or pressed by them at any
time instead of a sentence."""

from contextlib import nullcontext
from typing import Any, Self, cast

from livekit import rtc
from livekit.agents import AgentTask, RunContext, function_tool
from livekit.agents.beta.tools import send_dtmf_events  # pyright: ignore[reportUnknownVariableType]
from livekit.agents.beta.workflows import GetDtmfTask
from livekit.agents.llm import FunctionTool, ToolError, Toolset

from voiceagents.assistants.tool_options import CollectDigits, KeypadMenu
from voiceagents.livekit.discretion import Discretion
from voiceagents.livekit.tools.in_call import InCall

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


def keypad_menu(options: KeypadMenu, call: InCall) -> Toolset:
    """Gives the model what a key stands for as the caller's own words, which they interrupt it with."""
    return _Menu(options, call)


class _Menu(Toolset):
    """Nothing that the model can use: it lives as long as the assistant talks."""

    def __init__(self, options: KeypadMenu, call: InCall) -> None:
        super().__init__(id=options.type)
        self._keys = options.keys
        self._call = call

    async def setup(self) -> Self:
        await super().setup()
        self._call.room.on("sip_dtmf_received", self._pressed)  # pyright: ignore[reportUnknownMemberType]
        return self

    async def aclose(self) -> None:
        self._call.room.off("sip_dtmf_received", self._pressed)  # pyright: ignore[reportUnknownMemberType]
        await super().aclose()

    def _pressed(self, event: rtc.SipDTMF) -> None:
        session = self._call.session()
        words = self._keys.get(event.digit)
        # Keys that a task has asked for are its own, and of others who talk now we hear nothing.
        if words is None or isinstance(session.current_agent, AgentTask) or not session.input.audio_enabled:
            return
        speaking = session.current_speech
        if speaking is None or speaking.allow_interruptions:
            session.interrupt()
        session.generate_reply(user_input=words)
