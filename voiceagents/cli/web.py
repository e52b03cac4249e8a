"""`voiceagents web`: the application for browsers and the REST API."""

from typing import Annotated

import typer

from voiceagents.cli.surroundings import settings_with_lab


def web(
    host: Annotated[
        str | None,
        typer.Option(help="Where to listen; 0.0.0.0: everywhere. [default: WEB_HOST, else 127.0.0.1]"),
    ] = None,
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; 0: any free one. [default: WEB_PORT, else 8000]")
    ] = None,
) -> None:
    """Serve the web application and the REST API (described at /api/v1/openapi.json), until Ctrl-C.

    The first time it prints a link, good once, with which you become the owner.
    """
    from voiceagents.web.server import serve

    settings = settings_with_lab()
    given = {name: value for name, value in (("web_host", host), ("web_port", port)) if value is not None}
    serve(settings.model_copy(update=given), typer.echo)
