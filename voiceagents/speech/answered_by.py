"""Did a person pick up, or a machine?

livekit-agents asks a language model this about the first words heard on an outbound call, and takes the answer as a
call of its `save_prediction` tool. The rules here answer that one request, so that answering machine detection works
offline too.
"""

import re

from .conversation import Conversation
from .sentences import plain
from .tool_rules import ToolCall

_TOOL = "save_prediction"
_LABELS: dict[str, re.Pattern[str]] = {
    "machine-unavailable": re.compile(
        r"(?:mailbox|mail box|inbox|voicemail) (?:\w+ ){0,4}(?:full|(?:not|hasnt|isnt) (?:been )?set up)"
        r"|(?:number|line|service) (?:\w+ ){0,5}(?:not in service|disconnected|out of service|no longer|changed)"
        r"|cannot (?:accept|take) (?:\w+ )?messages|call cannot be completed|memory is full"
    ),
    "machine-ivr": re.compile(
        r"\bpress (?:\d|one|two|three|four|five|zero|star|pound|any)|\bfor \w+ press|dial (?:\d|the extension)"
        r"|(?:state|say|tell me) your name|(?:reason|why) (?:for |youre |you are )?call|see if (?:\w+ ){1,5}available"
        r"|google (?:assistant|voice)|screening|using a (?:call )?screen"
    ),
    "machine-vm": re.compile(
        r"(?<!dont )(?<!you )(?<!always )leave (?:\w+ ){0,4}(?:message|name|number)|(?:after|at) the (?:tone|beep)"
        r"|(?:cant|cannot|not able to|unable to) (?:\w+ ){0,2}(?:come|get) to the phone|record your message"
        r"|(?:get|call|ring|reach) (?:you )?back (?:to you )?(?:as soon|when|shortly)|forwarded to"
        r"|(?:youve|you have) reached (?:\w+ ){0,4}(?:voice ?mail|mailbox)|voice ?mail(?:box)? (?:of|for)"
        r"|not available to take"
    ),
}
_LONG_FOR_A_HUMAN = 25
"""Nobody answers the telephone with more words than this; a greeting still going on is read again when it is longer."""


def answered_by(conversation: Conversation) -> ToolCall | None:
    """The verdict on the words heard, where that is what the request asks for."""
    if all(tool.name != _TOOL for tool in conversation.tools) or not conversation.heard:
        return None
    words = plain(conversation.heard)
    label = next((label for label, phrasings in _LABELS.items() if phrasings.search(words)), None)
    if label is None:
        label = "uncertain" if len(words.split()) > _LONG_FOR_A_HUMAN or not words else "human"
    return ToolCall(_TOOL, {"label": label})
