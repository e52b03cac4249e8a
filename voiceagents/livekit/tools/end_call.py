"""The model ends the call when the caller is done."""

from typing import Any, cast

from livekit.agents import RunContext
from livekit.agents.beta.tools import EndCallTool
from livekit.agents.llm import Toolset

from voiceagents.assistants.tool_options import EndCall
from voiceagents.livekit.tools.in_call import InCall

_GOODBYE = "Say goodbye to the caller in one short sentence that contains the word Goodbye."


def end_call(options: EndCall, call: InCall) -> EndCallTool:
    """livekit-agents' own tool. With an `end_call_message` that is said, else the model says goodbye."""
    message = call.end_call_message

    async def say_it(event: Toolset.ToolCalledEvent) -> None:
        # Queued behind what the model may be saying; the session closes once both were heard.
        context = cast("RunContext[Any]", event.ctx)  # pyright: ignore[reportUnknownMemberType]
        context.session.say(message, allow_interruptions=False)

    return EndCallTool(
        extra_description=options.description,
        delete_room=False,  # the call itself does, once all is written down
        end_instructions=None if message else _GOODBYE,
        on_tool_called=say_it if message else None,
    )
