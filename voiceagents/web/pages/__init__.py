"""Which pages are there? One module a family of pages, all thin: they ask the same services as command line and API."""

from fastapi import FastAPI

from voiceagents.web.pages import (
    assistants,
    calendars,
    call,
    calls,
    campaign_contacts,
    campaign_editing,
    campaign_live,
    campaigns,
    contact,
    do_not_call,
    keys,
    live,
    numbers,
    settings,
    sign_in,
)
from voiceagents.web.pages.rendering import problem_page

FAMILIES = (
    sign_in, campaigns, campaign_editing, campaign_contacts, campaign_live, contact, calls, call, live, assistants,
    numbers, do_not_call, calendars, settings, keys,
)  # fmt: skip


def include(app: FastAPI) -> None:
    """Adds every page to the application."""
    app.state.problem_page = problem_page
    for family in FAMILIES:
        app.include_router(family.router, include_in_schema=False)
