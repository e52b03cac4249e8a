"""How is a caller handed to a person? To one of the assistant's named targets: the model chooses a name, never a
number, so that no words of a caller can have us dial a stranger.

Cold is a SIP REFER: the phone network moves the call and we are out of it. Warm: we call the target into the caller's
room while the caller hears music, introduce them, and fall silent. livekit-agents' `WarmTransferTask` speaks with the
target in a room of its own and then moves them over; LiveKit's open-source server cannot move participants
(`MoveParticipant` is LiveKit Cloud's), so that is not used here.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any

import aiohttp
from google.protobuf.duration_pb2 import Duration
from livekit import api, rtc
from livekit.agents import AudioConfig, BackgroundAudioPlayer, BuiltinAudioClip, RunContext, function_tool
from livekit.agents.llm import RawFunctionTool, ToolError, ToolResult

from voiceagents import logs
from voiceagents.assistants.draft import TransferTarget
from voiceagents.assistants.tool_options import Transfer
from voiceagents.calls.outcomes import Ending
from voiceagents.calls.records import Happened
from voiceagents.calls.states import EndedBy, Outcome
from voiceagents.livekit import sip
from voiceagents.livekit.tools.in_call import InCall

log = logging.getLogger("voiceagents.tools")

_HOLD_MUSIC = AudioConfig(BuiltinAudioClip.HOLD_MUSIC, volume=0.5)
_OFFER_INSTEAD = "The caller is still on the line with you: tell them, and offer to take a message."


def transfer(options: Transfer, call: InCall) -> RawFunctionTool[Any, Any]:
    """The tool `transfer_call`."""
    targets = {target.name: target for target in call.transfer_targets}
    described = "; ".join(f"{name}: {target.description}" for name, target in targets.items() if target.description)
    properties: dict[str, Any] = {
        "target": {"type": "string", "enum": list(targets), "description": f"Who to hand the caller to. {described}"}
    }
    required = ["target"]
    if options.mode == "warm":
        properties["summary"] = {
            "type": "string",
            "description": "One sentence for the person who takes over: who calls, and what about.",
        }
        required.append("summary")
    under_way = asyncio.Lock()

    async def transfer_call(raw_arguments: dict[str, Any], ctx: RunContext[Any]) -> ToolResult:
        target = _target(targets, raw_arguments.get("target"))
        if under_way.locked():
            raise ToolError("The caller is being handed over already. Wait for it.")
        async with under_way:
            # What the model says before it hands over is heard before the line changes.
            await ctx.wait_for_playout()
            ctx.disallow_interruptions()
            if options.mode == "cold":
                await _cold(call, target, options)
            else:
                await _warm(call, target, options, ctx, str(raw_arguments.get("summary") or ""))
        return ToolResult(f"The caller was handed to {target.name}.", reply_required=False)

    return function_tool(
        transfer_call,
        raw_schema={
            "name": "transfer_call",
            "description": "Hands the caller to a person. Tell the caller first, in one short sentence, whom you are "
            "putting them through to. If it does not work the caller stays with you.",
            "parameters": {
                "type": "object",
                "properties": properties,
                "required": required,
                "additionalProperties": False,
            },
        },
    )


def _target(targets: Mapping[str, TransferTarget], asked: object) -> TransferTarget:
    """The target of this name; a number, or a name that nobody gave us, is refused."""
    plain = {name.casefold().strip(): target for name, target in targets.items()}
    found = plain.get(str(asked or "").casefold().strip())
    if found is None:
        raise ToolError(f"There is nobody of that name to hand a caller to. There are: {', '.join(targets)}.")
    return found


# --- cold -------------------------------------------------------------------------------------------------------------


async def _cold(call: InCall, target: TransferTarget, options: Transfer) -> None:
    request = api.TransferSIPParticipantRequest(
        participant_identity=call.phone_identity,
        room_name=call.room.name,
        transfer_to=target.number if target.number.startswith("sip:") else f"tel:{target.number}",
        play_dialtone=True,
        ringing_timeout=Duration(seconds=int(options.ringing_timeout)),
    )
    started = time.monotonic()
    try:
        answer = await call.livekit.sip.transfer_sip_participant(request, timeout=options.ringing_timeout + 10)
        if answer.status == api.SIPTransferStatus.STS_TRANSFER_FAILED:
            reason = api.SIPTransferReason.Name(answer.reason)
            raise _failed(call, target, started, int(answer.sip_status.code) or None, reason)
    except api.SipCallError as error:
        raise _failed(call, target, started, error.sip_status_code, error.message) from error
    except (api.ServerError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise _failed(call, target, started, None, str(error) or type(error).__name__) from error
    _note(call, "transferred", target, started)
    call.end(Ending(Outcome.COMPLETED, f"handed over to {target.name}", EndedBy.AGENT))


# --- warm -------------------------------------------------------------------------------------------------------------


async def _warm(call: InCall, target: TransferTarget, options: Transfer, ctx: RunContext[Any], summary: str) -> None:
    trunk_id = options.trunk_id or call.trunk_id
    if trunk_id is None:
        raise ToolError(f"Nobody can be called from here. {_OFFER_INSTEAD}")
    started = time.monotonic()
    music = BackgroundAudioPlayer()
    await music.start(room=call.room)  # pyright: ignore[reportUnknownMemberType]
    playing = music.play(_HOLD_MUSIC, loop=True)
    try:
        there = await sip.dial(
            call.livekit,
            sip.Dial(
                room=call.room.name,
                number=target.number,
                trunk_id=trunk_id,
                name=target.name,
                ringing_timeout=options.ringing_timeout,
            ),
        )
    except sip.NotAnswered as error:
        # Of a request that timed out nobody knows whether the phone still rings: it must not be picked up later.
        await _put_out(call, target.number)
        raise _failed(call, target, started, error.failure.sip_status, error.failure.message) from error
    finally:
        playing.stop()
        await music.aclose()
    _end_with(call, target, there.participant_identity)
    _note(call, "transferred", target, started)
    caller = "a caller" if not summary else "a caller for you"
    words = f"Hello {target.name}, this is the assistant. I have {caller} on the line. {summary} I leave you to it."
    # Said when this tool is done; its words belong to a speech of their own.
    speech = ctx.session.say(" ".join(words.split()), allow_interruptions=False)

    async def then_fall_silent() -> None:
        await speech.wait_for_playout()
        call.fall_silent()

    _keep(asyncio.create_task(then_fall_silent()))


_tasks: set[asyncio.Task[None]] = set()


def _keep(task: asyncio.Task[None]) -> None:
    # The event loop itself holds on to its tasks only weakly.
    _tasks.add(task)
    task.add_done_callback(_tasks.discard)


def _end_with(call: InCall, target: TransferTarget, identity: str) -> None:
    """The call is over when the target hangs up; that the caller does is seen by whoever follows their line."""

    def on_disconnected(participant: rtc.RemoteParticipant) -> None:
        if participant.identity == identity:
            call.end(Ending(Outcome.COMPLETED, f"handed over to {target.name}, who hung up", EndedBy.AGENT))

    call.room.on("participant_disconnected", on_disconnected)  # pyright: ignore[reportUnknownMemberType]


async def _put_out(call: InCall, identity: str) -> None:
    try:
        await call.livekit.room.remove_participant(api.RoomParticipantIdentity(room=call.room.name, identity=identity))
    except (api.ServerError, aiohttp.ClientError, TimeoutError, OSError) as error:
        log.info("TRANSFER_LEG_GONE | call=%s | cause=%s", call.call_id, error)


# --- both -------------------------------------------------------------------------------------------------------------


def _failed(call: InCall, target: TransferTarget, started: float, status: int | None, message: str) -> ToolError:
    _note(call, "transfer_failed", target, started, sip_status=status, cause=message[:300])
    return ToolError(f"{target.name} {_why(status)}. {_OFFER_INSTEAD}")


def _why(status: int | None) -> str:
    """A SIP status (RFC 3261) in words for a caller."""
    match status:
        case 486 | 600:
            return "is on another call"
        case 408 | 480 | 487:
            return "did not pick up"
        case 603 | 607 | 608 | 403:
            return "did not take the call"
        case None:
            return "could not be reached in time"
        case _:
            return "could not be reached"


def _note(call: InCall, kind: str, target: TransferTarget, started: float, **more: Any) -> None:
    detail = {"target": target.name, "seconds": round(time.monotonic() - started, 1)}
    detail |= {key: value for key, value in more.items() if value is not None}
    call.write(Happened(call_id=call.call_id, kind=kind, at=call.now(), detail=detail))
    log.info("%s", logs.event(kind.upper(), call=call.call_id, target=target.name))
