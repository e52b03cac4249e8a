"""Can assistants and numbers be read in Supabase, where that is configured?"""

from voiceagents.assistants import sources
from voiceagents.assistants.resolver import By, Wanted
from voiceagents.assistants.supabase import SupabaseProblem
from voiceagents.doctor.findings import Finding, broken, good
from voiceagents.settings import Settings, SettingsError

_NOBODY = "+12025550100"
"""A number that nobody has (fictional use): asking for it asks both tables and finds nothing."""

_NO_ID = "00000000-0000-0000-0000-000000000000"


async def check(settings: Settings) -> Finding | None:
    """Both tables answer; None where no Supabase is configured."""
    subject = "Supabase"
    try:
        project = sources.supabase(settings)
    except SettingsError as error:
        said, _, mend = str(error).partition("\n")
        return broken(subject, said, mend)
    if project is None:
        return None
    try:
        await project.look_up([Wanted(By.NUMBER, _NOBODY), Wanted(By.ID, _NO_ID)])
    except SupabaseProblem as error:
        mend = "SUPABASE_URL, SUPABASE_SERVICE_ROLE_KEY and SUPABASE_MAPPING say where and how it is asked"
        return broken(subject, f"{settings.supabase_url}: {error}", mend)
    finally:
        project.close()
    return good(subject, f"numbers and assistants are read at {settings.supabase_url}")
