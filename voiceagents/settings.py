"""Every environment variable, in one place, checked when a process starts.

A wrong or missing value ends the process with a sentence that names the variable and the mend, never with a
traceback.
"""

import json
import os
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from voiceagents.phone import is_e164


class SettingsError(Exception):
    """The environment is not fit to run with.

    The text is meant for the person who started the program.
    """


Url = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^(wss?|https?)://[^\s/]+(/\S*)?$")]
HttpUrl = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^https?://[^\s/]+/?$")]
BucketName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$")]


def _default_data_folder() -> Path:
    # PostgreSQL refuses to run as root, and the user it runs as then cannot enter /root.
    if os.geteuid() == 0:
        return Path("/var/lib/voiceagents")
    home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(home) / "voiceagents"


class Settings(BaseSettings):
    """The environment.

    Names are the variables' names in lower case; see the table in the README.
    """

    model_config = SettingsConfigDict(env_file=".env", env_file_encoding="utf-8", extra="ignore", env_ignore_empty=True)

    # LiveKit
    livekit_url: Url | None = None
    livekit_api_key: str | None = None
    livekit_api_secret: SecretStr | None = None
    lk_agent_name: str = "ai"
    sip_trunk_id: str | None = None

    # OpenAI, or anything that speaks its HTTP contract. With neither key nor address: the offline voice.
    openai_api_key: SecretStr | None = None
    openai_base_url: Url | None = None
    openai_llm_model: str = "gpt-4o-mini"
    openai_stt_model: str = "gpt-4o-transcribe"
    openai_tts_model: str = "gpt-4o-mini-tts"
    openai_tts_voice: str = "alloy"

    # Assistants that are kept elsewhere
    supabase_url: Url | None = None
    supabase_service_role_key: SecretStr | None = None
    supabase_mapping: Annotated[dict[str, Any], NoDecode] = Field(
        default_factory=dict[str, Any], description="JSON: tables and columns that differ from sass-livekit's."
    )
    resolver_cache_seconds: float = Field(
        default=60, ge=0, le=86400, description="How long what Supabase said about an assistant or a number holds."
    )

    # Calls
    force_first_message: bool = True
    ringing_timeout: float = Field(default=30, ge=1, le=80, description="Seconds a phone rings before we give up.")
    max_call_duration: float = Field(default=1800, ge=10, le=14400, description="Seconds, ringing included.")
    prepare_opening: bool = Field(default=True, description="Make the first words while the phone rings.")
    greeting_delay: float = Field(default=2.5, ge=0.5, le=10, description="Seconds of silence before we greet first.")

    # What is kept
    record_calls: bool = Field(default=False, description="Record every call that we place.")
    livekit_egress: bool = Field(default=False, description="LiveKit Egress records, not the agent.")
    livekit_egress_folder: str = Field(
        default="/recordings", pattern=r"^/\S+$", description="Our folder of recordings as Egress sees it."
    )
    recordings_bucket: BucketName | None = Field(
        default=None, description="S3 bucket in which recordings are kept; unset: in the data folder."
    )
    recordings_prefix: str = Field(
        default="", pattern=r"^([^\s/]\S*)?$", description="Folder of recordings in the bucket."
    )
    aws_endpoint_url: HttpUrl | None = Field(default=None, description="An S3-compatible server; unset: Amazon's.")
    aws_region: str = Field(default="us-east-1", pattern=r"^[\w-]+$", description="The bucket's region.")
    aws_access_key_id: str | None = Field(default=None, description="Unset: the machine's own role at Amazon.")
    aws_secret_access_key: SecretStr | None = None
    retention_days: int | None = Field(
        default=None, ge=1, le=36500, description="Days after which recordings and words are deleted; unset: never."
    )

    # Tools
    tool_allowed_hosts: str = Field(
        default="",
        description="Hosts, or hosts with a port, outside the public internet that tools may reach all the same.",
    )

    # Worker
    agent_job_executor: Literal["thread", "process"] = "thread"
    agent_max_calls: int = Field(default=25, ge=1, le=1000, description="Calls at once in one worker process.")
    agent_drain_seconds: float = Field(
        default=60, ge=0, le=7200, description="How long a stopping worker lets calls end."
    )
    agent_http_port: int = Field(
        default=0, ge=0, le=65535, description="Health endpoint on 127.0.0.1; 0: any free port."
    )

    # Web
    web_host: str = Field(default="127.0.0.1", description="Where the web application listens; 0.0.0.0: everywhere.")
    web_port: int = Field(default=8000, ge=0, le=65535, description="Its port; 0: any free port.")
    web_url: HttpUrl | None = Field(default=None, description="Its address as browsers see it, behind a proxy.")
    web_trusted_proxies: str = Field(
        default="127.0.0.1", description="Proxies that may say whom they speak for (X-Forwarded-For, -Proto)."
    )

    # Storage and logs
    database_url: SecretStr | None = None
    voiceagents_data: Path = Field(default_factory=_default_data_folder)
    log_pii: bool = False
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @model_validator(mode="before")
    @classmethod
    def _without_blanks(cls, values: dict[str, Any]) -> dict[str, Any]:
        # A line end or a blank comes along easily when a value is pasted, and a blank value sets nothing.
        stripped = {name: value.strip() if isinstance(value, str) else value for name, value in values.items()}
        return {name: value for name, value in stripped.items() if value != ""}

    @field_validator("log_level", mode="before")
    @classmethod
    def _level_in_capitals(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("supabase_mapping", mode="before")
    @classmethod
    def _mapping_is_json(cls, value: object) -> object:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except json.JSONDecodeError as error:
            raise ValueError(f"this is broken JSON: {error}") from None

    @field_validator("sip_trunk_id")
    @classmethod
    def _trunk_looks_right(cls, value: str | None) -> str | None:
        if value and is_e164(value):
            raise ValueError(
                "this is a telephone number; a trunk id looks like ST_AbCdEf123 (`lk sip outbound list` shows it)"
            )
        return value

    @model_validator(mode="after")
    def _supabase_is_whole(self) -> Self:
        if (self.supabase_url is None) != (self.supabase_service_role_key is None):
            raise ValueError(
                "SUPABASE_URL and SUPABASE_SERVICE_ROLE_KEY belong together: set both (Supabase's project settings, "
                "API), or neither"
            )
        return self

    @model_validator(mode="after")
    def _bucket_is_whole(self) -> Self:
        if self.recordings_bucket is None:
            if self.recordings_prefix:
                raise ValueError("RECORDINGS_PREFIX is a folder in RECORDINGS_BUCKET: set that, too, or neither")
        elif (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ValueError(
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY belong together: set both, or neither where the machine "
                "has a role of its own at Amazon"
            )
        return self

    @property
    def aws_access_key(self) -> tuple[str, str] | None:
        """Id and secret of the key to the bucket; None where the machine has a role of its own."""
        if self.aws_access_key_id is None or self.aws_secret_access_key is None:
            return None
        return self.aws_access_key_id, self.aws_secret_access_key.get_secret_value()

    @property
    def offline_speech(self) -> bool:
        """True when nothing of OpenAI's is configured, so that our own local speech server must speak and listen."""
        return self.openai_api_key is None and self.openai_base_url is None

    @cached_property
    def livekit(self) -> "LiveKitAccess":
        """The three values that every use of LiveKit needs.

        Raises:
            SettingsError: names those that are missing.
        """
        missing = [
            name.upper()
            for name in ("livekit_url", "livekit_api_key", "livekit_api_secret")
            if getattr(self, name) is None
        ]
        if missing or self.livekit_url is None or self.livekit_api_key is None or self.livekit_api_secret is None:
            raise SettingsError(
                f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not set.\n"
                "Set them to those of your LiveKit server or Cloud project, or start a phone network on this machine:\n"
                '  voiceagents lab up && eval "$(voiceagents lab env)"'
            )
        return LiveKitAccess(self.livekit_url, self.livekit_api_key, self.livekit_api_secret)


class LiveKitAccess:
    """Where LiveKit is and how to prove who we are."""

    def __init__(self, url: str, api_key: str, api_secret: SecretStr) -> None:
        self.url = url
        self.api_key = api_key
        self.api_secret = api_secret


def load() -> Settings:
    """Reads the environment (and `.env` in the working folder).

    Raises:
        SettingsError: one line for each variable that is wrong.
    """
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in problem['loc']).upper()}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsError("The environment has values that cannot be used:\n  " + "\n  ".join(lines)) from None
