"""Does Ctrl-C end the whole demo, whatever it is doing? Nobody listens to its phones: other tests may run beside it."""

import json
import socket
from pathlib import Path

import pytest

from tests.database import end_servers, open_folder
from tests.stack.command_line import Command, nothing_left_of

pytestmark = [pytest.mark.stack, pytest.mark.timeout(300)]


@pytest.mark.parametrize("moment", ["Starting the phone network", "Starting the agent", "answered"])
async def test_ctrl_c_at_any_moment_leaves_neither_process_nor_port(moment: str, tmp_path: Path) -> None:
    data = open_folder() / "data"
    try:
        command = await Command.start("demo", folder=tmp_path, VOICEAGENTS_DATA=str(data))
        await command.says(moment, within=90)
        lab = data / "lab" / "lab.json"
        ports = json.loads(lab.read_text())["ports"].values() if lab.exists() else []
        command.interrupt()
        ran = await command.over(within=45)
        assert ran.status == 130, ran
        assert "Traceback" not in ran.err, ran
        await nothing_left_of(data)
        for port in ports:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
    finally:
        end_servers(data.parent)
