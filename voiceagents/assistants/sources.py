"""Which sources does this installation ask who answers a call? Its settings say so."""

import logging
import threading

from pydantic import ValidationError

from voiceagents.assistants.resolver import Resolver
from voiceagents.assistants.supabase import Supabase
from voiceagents.assistants.supabase_rows import SupabaseMapping
from voiceagents.settings import Settings, SettingsError

log = logging.getLogger("voiceagents.resolver")

_resolver: Resolver | None = None
_lock = threading.Lock()


def resolver(settings: Settings) -> Resolver:
    """The one resolver of this process, made when first asked for; all its calls share what sources said before.

    Never raises: a source that cannot be made is one less, and the calls are answered.
    """
    global _resolver
    with _lock:
        if _resolver is None:
            try:
                further = supabase(settings)
            except SettingsError as error:
                log.error("RESOLVER_FAILED | source=resolver.supabase | cause=%s", error)
                further = None
            _resolver = Resolver(further, cache_seconds=settings.resolver_cache_seconds)
        return _resolver


def supabase(settings: Settings) -> Supabase | None:
    """The Supabase project of the settings; None where there is none.

    Raises:
        SettingsError: SUPABASE_MAPPING names what is not there.
    """
    if settings.supabase_url is None or settings.supabase_service_role_key is None:
        return None
    return Supabase(settings.supabase_url, settings.supabase_service_role_key, mapping(settings))


def mapping(settings: Settings) -> SupabaseMapping:
    """Tables and columns of SUPABASE_MAPPING, the defaults for the rest.

    Raises:
        SettingsError: a table or column has a name that we do not know.
    """
    try:
        return SupabaseMapping.model_validate(settings.supabase_mapping)
    except ValidationError as error:
        places = "; ".join(
            f"{'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError(
            f"SUPABASE_MAPPING cannot be used: {places}.\n"
            'Write it such as {"numbers": {"table": "phone_number"}, "assistants": {"prompt": "instructions"}}'
        ) from None
