"""The REST API: which addresses are there? One router a resource, all under `/api/v1`."""

from fastapi import FastAPI

PREFIX = "/api/v1"


def include(app: FastAPI) -> None:
    """Adds the API to the application."""
    # Imported here: tables and services of the whole house come with it.
    from voiceagents.web.api import (
        assistants,
        calendars,
        calls,
        campaigns,
        contacts,
        do_not_call,
        imports,
        live,
        people,
        settings,
        webhooks,
    )
    from voiceagents.web.api.dependencies import PROBLEMS

    for router in (
        assistants.router,
        assistants.numbers,
        campaigns.router,
        contacts.router,
        imports.router,
        do_not_call.router,
        calls.router,
        calendars.router,
        settings.router,
        people.router,
        webhooks.router,
        live.router,
    ):
        app.include_router(router, prefix=PREFIX, responses=PROBLEMS)
    app.include_router(live.health)
