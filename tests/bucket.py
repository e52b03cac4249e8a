"""A real S3 server for tests: versitygw, which checks signatures and keeps its objects in a folder. A pytest plugin:
`s3` is one for the session, with a bucket."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.agent import until
from voiceagents.calls.bucket import Bucket, BucketProblem
from voiceagents.processes import free_ports, spawn

PROGRAM = Path(__file__).parent.parent / "lab" / "bin" / "versitygw"
ACCESS_KEY, SECRET_KEY = "tests", "a secret of the tests"


@dataclass(frozen=True)
class S3:
    """A running server and one bucket on it."""

    url: str
    folder: Path
    name: str = "calls"

    def bucket(self, prefix: str = "", **other: Any) -> Bucket:
        """The bucket as we see it."""
        given: dict[str, Any] = {
            "endpoint": self.url, "region": "us-east-1", "access_key": (ACCESS_KEY, SECRET_KEY)
        } | other  # fmt: skip
        return Bucket(given.pop("name", self.name), prefix=prefix, **given)

    def settings(self, prefix: str = "") -> dict[str, str]:
        """The environment that names it."""
        return {
            "RECORDINGS_BUCKET": self.name, "RECORDINGS_PREFIX": prefix, "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        }  # fmt: skip

    def objects(self, prefix: str = "") -> list[str]:
        """The names of what is stored under a prefix, as the server's own folder has it."""
        place = self.folder / self.name / prefix
        return sorted(path.name for path in place.iterdir()) if place.is_dir() else []


@pytest_asyncio.fixture(scope="session")
async def s3(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[S3]:
    """The server of this session."""
    assert PROGRAM.exists(), f"{PROGRAM} is not there: scripts/setup test builds it"
    folder, about = tmp_path_factory.mktemp("s3"), tmp_path_factory.mktemp("s3-about")
    (folder / "calls").mkdir()
    (port,) = free_ports(1)
    command = [str(PROGRAM), "--port", f"127.0.0.1:{port}", "--access", ACCESS_KEY, "--secret", SECRET_KEY, "--quiet"]
    command += ["posix", "--sidecar", str(about), str(folder)]
    server = spawn("versitygw", command, {}, about / "log", outlives_starter=False)
    running = S3(f"http://127.0.0.1:{port}", folder)

    async def answers() -> bool | None:
        try:
            await running.bucket().size("nothing")
        except BucketProblem:
            return None
        return True

    try:
        await until(answers, within=30, what="an answer of the S3 server")
        yield running
    finally:
        server.stop(10)
