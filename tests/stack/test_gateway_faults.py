"""Does the gateway outlive the servers around it, end calls that have lost their room, and keep nothing of the dead?"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import httpx
import pytest
import pytest_asyncio
from livekit import api

from tests.stack.gateway_desk import PHONE_NUMBER, Desk, error_of, new_room, open_desk, until, wait
from tests.stack.phone_audio import CODECS, tone
from tests.stack.room_observer import RATE, RoomObserver
from tests.stack.sip_phone import PhoneCall
from tests.stories import Stories, Told
from voiceagents.lab import Lab

pytestmark = [pytest.mark.stack, pytest.mark.faults, pytest.mark.phones, pytest.mark.timeout(180)]

LOST_ROOM_S = 25.0
STORIES = Stories(at_once=3)
StartLab = Callable[[], AbstractAsyncContextManager[Lab]]


@pytest_asyncio.fixture(scope="module")
async def told(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Told]:
    """Every story of this module, under way; each may kill the processes of a lab of its own."""
    async with STORIES.told(lambda: Lab(tmp_path_factory.mktemp("lab"))) as told:
        yield told


async def stats(lab: Lab) -> dict[str, int]:
    async with httpx.AsyncClient(base_url=lab.gateway_url) as gateway:
        return (await gateway.get("/stats")).json()


@STORIES
async def stopped(start_lab: StartLab) -> None:
    async with start_lab() as lab, open_desk(lab) as desk:
        answered = await desk.answered(new_room())
        dialled = desk.dial(new_room())
        ringing = await desk.phone.rung()
        ringing.ring()
        await wait(0.2)
        start = time.monotonic()
        stopping = asyncio.create_task(asyncio.to_thread(lab.processes["gateway"].stop, 6))
        await answered.request("BYE")
        await ringing.request("CANCEL")
        await error_of(dialled)
        await stopping
        assert time.monotonic() - start < 5
        assert await desk.participant(new_room()) is None


async def test_sigterm_ends_every_call_within_five_seconds(told: Told) -> None:
    await told["stopped"]


@STORIES
async def room_lost(start_lab: StartLab) -> None:
    async with start_lab() as lab, open_desk(lab) as desk:
        call = await desk.answered(new_room())
        await wait(1.5)  # until all media connections stand
        await lab.kill("livekit-server")
        lost_at = time.monotonic()
        await call.request("BYE", within=LOST_ROOM_S + 2)
        assert time.monotonic() - lost_at < LOST_ROOM_S
        await nothing_left(lab)


async def test_a_call_whose_room_is_lost_for_good_is_hung_up(told: Told) -> None:
    await told["room_lost"]


@STORIES
async def server_restarted(start_lab: StartLab) -> None:
    room = new_room()
    async with start_lab() as lab, open_desk(lab) as desk:
        async with RoomObserver(lab, room) as observer:
            call = await desk.answered(room)
            await observer.track(PHONE_NUMBER)
            await wait(1.5)  # until all media connections stand
        await lab.kill("livekit-server")
        await lab.restart("livekit-server")
        async with RoomObserver(lab, room) as observer:
            await observer.present(PHONE_NUMBER, "active", within=12)
            participant = observer.room.remote_participants[PHONE_NUMBER]
            assert participant.attributes["sip.callIDFull"] == call.call_id
            await observer.track(PHONE_NUMBER)
            spoken_at = await observer.say(tone(900, 1.0, RATE))
            await wait(0.3)
            assert call.audio.first_loud(CODECS["PCMU"], spoken_at)
        assert call.requests("BYE") == []
        call.hang_up()
        assert (await call.response("BYE")).status == 200


async def test_a_call_survives_a_short_restart_of_the_server(told: Told) -> None:
    await told["server_restarted"]


@STORIES
async def another_room(start_lab: StartLab) -> None:
    room = new_room()
    async with start_lab() as lab, open_desk(lab) as desk:
        async with RoomObserver(lab, room) as observer:
            call = await desk.answered(room)
            await observer.track(PHONE_NUMBER)
            await wait(1.5)  # until all media connections stand
        await lab.kill("livekit-server")
        await redis(lab, "HDEL", "rooms", room)  # as if it had been deleted while nobody could tell us
        await lab.restart("livekit-server")
        await call.request("BYE", within=LOST_ROOM_S)


async def test_a_call_that_comes_back_to_another_room_of_the_same_name_is_hung_up(told: Told) -> None:
    await told["another_room"]


async def redis(lab: Lab, *words: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", lab.ports["redis"])
    command = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
    writer.write(f"*{len(words)}\r\n{command}".encode())
    assert (await reader.readline()).startswith(b":1")
    writer.close()


@STORIES
async def server_gone(start_lab: StartLab) -> None:
    async with start_lab() as lab, open_desk(lab) as desk:
        await lab.kill("livekit-server")
        await wait(1.0)
        await lab.restart("livekit-server")
        call = await placed_again(desk)
        call.hang_up()


async def test_calls_can_be_placed_again_after_the_server_was_gone(told: Told) -> None:
    await told["server_gone"]


@STORIES
async def redis_gone(start_lab: StartLab) -> None:
    async with start_lab() as lab, open_desk(lab) as desk:
        before = await desk.answered(new_room())
        await lab.kill("redis-server")
        await wait(1.0)
        assert before.requests("BYE") == [], "a call that is up does not need Redis"
        await lab.restart("redis-server")
        await placed_again(desk)
        before.hang_up()
        assert (await before.response("BYE")).status == 200


async def test_calls_can_be_placed_again_after_redis_was_gone(told: Told) -> None:
    await told["redis_gone"]


async def placed_again(desk: Desk, within: float = 30.0) -> PhoneCall:
    """An answered call, tried until the servers have found each other again."""

    async def placed() -> PhoneCall | None:
        dialled = desk.dial(new_room())
        try:
            call = await desk.phone.rung(within=9)  # a server that is new asks for the old one's rooms for 6 s
        except TimeoutError:
            await error_of(dialled)
            return None
        call.answer()
        await dialled
        return call

    return await until(placed, within)


async def nothing_left(lab: Lab, within: float = 12.0) -> dict[str, int]:
    async def idle() -> dict[str, int] | None:
        now = await stats(lab)
        return now if now["active_calls"] == 0 else None

    return await until(idle, within)


async def one_of_each(desk: Desk) -> None:
    """An answered call that the phone ends, one that the room ends, one that is busy, and one that is given up."""
    first, second, third, fourth = (new_room() for _ in range(4))
    call = await desk.answered(first)
    call.hang_up()
    call = await desk.answered(second)
    await desk.livekit.room.delete_room(api.DeleteRoomRequest(room=second))
    await call.request("BYE")
    dialled = desk.dial(third)
    (await desk.phone.rung()).respond(486)
    await error_of(dialled)
    dialled = desk.dial(fourth)
    call = await desk.phone.rung()
    call.ring()
    await desk.livekit.room.delete_room(api.DeleteRoomRequest(room=fourth))
    await error_of(dialled)


async def settled(lab: Lab, most_goroutines: int, within: float = 45.0) -> dict[str, int]:
    """The stats once everything that ends by its own timers (64*T1 of SIP) has ended."""

    async def calm() -> dict[str, int] | None:
        now = await stats(lab)
        return now if now["active_calls"] == 0 and now["goroutines"] <= most_goroutines else None

    return await until(calm, within)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_two_hundred_calls_leave_nothing_behind(fresh_lab: Lab) -> None:
    async with open_desk(fresh_lab) as desk:
        for _ in range(3):
            await one_of_each(desk)
        await wait(40)
        before = await stats(fresh_lab)
        for _ in range(50):
            await one_of_each(desk)
        await settled(fresh_lab, before["goroutines"] + 5)
        await wait(2)
        after = await stats(fresh_lab)
        print(before, after)
        assert after["open_fds"] <= before["open_fds"] + 3
        assert after["rss_bytes"] - before["rss_bytes"] < 60_000_000
