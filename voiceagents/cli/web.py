"""`voiceagents web`: the application for browsers and the REST API."""

from typing import Annotated

import typer

from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import database, run, settings_with_lab
from voiceagents.settings import Settings


def web(
    host: Annotated[
        str | None,
        typer.Option(help="Where to listen; 0.0.0.0: everywhere. [default: WEB_HOST, else 127.0.0.1]"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one. [default: WEB_PORT, else 8000]")
    ] = None,
    link_for: Annotated[
        str | None,
        typer.Option(metavar="EMAIL", help="Only print a new one-time link for this person, who lost the password."),
    ] = None,
) -> None:
    """Serve the web application and the REST API (described at /api/v1/openapi.json), until Ctrl-C.

    The first time it prints a link, good once, with which you become the owner.
    """
    from voiceagents.web.server import address_of, serve

    settings = settings_with_lab()
    given = {name: value for name, value in (("web_host", host), ("web_port", port)) if value is not None}
    settings = settings.model_copy(update=given)
    if link_for is None:
        serve(settings, typer.echo)
        return
    token = run(_link(settings, link_for))
    typer.echo(f"{address_of(settings, settings.web_port)}/welcome/{token}")


async def _link(settings: Settings, email: str) -> str:
    from voiceagents.web import accounts

    async with database(settings) as opened:
        try:
            return await accounts.link_for(opened, email)
        except accounts.AccountProblem as error:
            raise Problem(str(error)) from None
