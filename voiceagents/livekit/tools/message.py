"""What a caller wants passed on: a message, or the wish to be called back. Both wait in the history until somebody has
dealt with them."""

from typing import Any
from uuid import uuid4

from livekit.agents import RunContext, function_tool
from livekit.agents.llm import FunctionTool, ToolError

from voiceagents import phone as phones
from voiceagents.calls.records import MessageTaken
from voiceagents.calls.states import MessageKind, Outcome
from voiceagents.livekit.tools.in_call import InCall

_LONGEST = 2000


def take_message(call: InCall) -> FunctionTool[Any, Any]:
    """A tool that keeps the caller's words."""

    @function_tool
    async def take_message(ctx: RunContext[Any], message: str, caller_name: str, phone: str | None = None) -> str:
        """Takes a message for the people of the business, who read it later.

        Args:
            message: the message in the caller's own words.
            caller_name: the caller's name. Ask for it, never make it up.
            phone: a number to reach the caller on, if it is another than the one they call from.
        """
        if not message.strip():
            raise ToolError("There is no message yet. Ask the caller what to pass on.")
        number = number_of(phone, call)
        note(call, MessageKind.MESSAGE, message, name=caller_name, number=number)
        return "The message is noted and will be passed on."

    return take_message


def request_callback(call: InCall) -> FunctionTool[Any, Any]:
    """A tool that notes that the caller is to be called back."""

    @function_tool
    async def request_callback(
        ctx: RunContext[Any],
        when: str,
        reason: str | None = None,
        caller_name: str | None = None,
        phone: str | None = None,
    ) -> str:
        """Notes that somebody of the business shall call the caller back.

        Args:
            when: when, in the caller's own words, such as "tomorrow afternoon"; "any time" if they do not mind.
            reason: what it is about, if the caller has said so.
            caller_name: the caller's name, if they have said it.
            phone: the number to call, if it is another than the one they call from.
        """
        number = number_of(phone, call)
        if number is None:
            raise ToolError("The caller hides their number. Ask which number to call back, then use this tool again.")
        words = " ".join(when.split()) or "any time"
        note(call, MessageKind.CALLBACK, reason or "", name=caller_name, number=number, when=words)
        call.wish(Outcome.CALLBACK_REQUESTED)
        return f"It is noted that the caller will be called back: {words}."

    return request_callback


def note(
    call: InCall, kind: MessageKind, text: str, *, name: str | None, number: str | None, when: str | None = None
) -> None:
    """Writes it down; returns at once and never fails."""
    call.write(
        MessageTaken(
            call_id=call.call_id,
            message_id=uuid4(),
            kind=kind,
            at=call.now(),
            text=text.strip()[:_LONGEST],
            from_name=" ".join((name or "").split())[:200] or None,
            from_number=number,
            wanted_when=when,
        )
    )


def number_of(said: str | None, call: InCall) -> str | None:
    """The number the caller named, else the one they call from.

    Raises:
        ToolError: what they named is no number.
    """
    if not said or not any(character.isdigit() for character in said):
        return call.caller_number
    # Without a country code it is one of the caller's country, or else of the country that was called.
    known = [number for number in (call.caller_number, call.called_number) if number]
    problem: phones.InvalidPhoneNumber | None = None
    for region in dict.fromkeys(map(phones.country_of, known)) or [None]:
        try:
            return phones.normalize(said, region)
        except phones.InvalidPhoneNumber as error:
            problem = problem or error
    raise ToolError(f"That is not a number that can be called: {problem}. Ask the caller to say it again.")
