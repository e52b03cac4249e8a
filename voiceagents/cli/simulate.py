"""`voiceagents simulate`: a campaign played through with simulated people, before it calls anybody real."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from voiceagents.cli.problems import Problem
from voiceagents.cli.surroundings import database, run
from voiceagents.settings import load

if TYPE_CHECKING:
    from voiceagents.livekit.speech import SpeechEndpoint
    from voiceagents.simulation.run import Script


def simulate(
    campaign: Annotated[
        str | None,
        typer.Argument(
            metavar="[CAMPAIGN]", help="Its name, its id, or how its id begins. [default: a sample campaign]"
        ),
    ] = None,
    count: Annotated[int, typer.Option("--people", "-n", min=1, help="How many people are called.")] = 30,
    seed: Annotated[int, typer.Option(help="The same seed gives the same people.")] = 0,
    first: Annotated[int, typer.Option(min=0, help="Leave out so many people, as the next part of --report.")] = 0,
    at_once: Annotated[int, typer.Option(min=1, max=20, help="Calls at the same time.")] = 3,
    report: Annotated[
        Path | None, typer.Option(help="Add the calls to this JSON file, and report on all that are in it.")
    ] = None,
    within: Annotated[
        float | None, typer.Option(min=60, help="Seconds after which only the calls that are over count.")
    ] = None,
    phrases: Annotated[
        Path | None, typer.Option(help="Ways of opting out, one a line: says how many the rules understand.")
    ] = None,
    least: Annotated[
        float, typer.Option(min=0, max=1, help="Share of calls that must end as their person asks for.")
    ] = 0.9,
    offline: Annotated[
        bool, typer.Option("--offline", help="Use our own voice and mind even where OPENAI_* is set, and no judges.")
    ] = False,
) -> None:
    """Play a campaign through with simulated people, on a phone network, a database and an agent of its own.

    Nobody real is called. Where OPENAI_API_KEY or OPENAI_BASE_URL is set those models talk, and livekit-agents' judges
    read each conversation by them: both are paid for. Exit status 1 when a person was hung up on, or a voicemail or an
    outcome missed, more often than the gate allows (people 99 %, voicemails 95 %, outcomes --least): for CI.
    """
    from voiceagents.simulation import run as simulation
    from voiceagents.simulation.judging import Gate

    script = run(_script(campaign)) if campaign is not None else simulation.Script()
    absolute = report.absolute() if report is not None else None
    speech = None if offline else _models()
    options = simulation.Options(count, seed, first, at_once, absolute, within, Gate(outcomes_right=least), speech)
    phrases = phrases.absolute() if phrases is not None else None
    with simulation.home() as folder:
        judged = run(simulation.simulate(folder, script, options, typer.echo))
    if phrases is not None:
        _show_phrases(phrases)
    raise typer.Exit(simulation.INTERRUPTED if judged is None else simulation.finish(judged, options))


def _models() -> "SpeechEndpoint | None":
    from voiceagents.livekit.speech import SpeechEndpoint

    settings = load()
    return None if settings.offline_speech else SpeechEndpoint.from_settings(settings)


def _show_phrases(path: Path) -> None:
    from voiceagents.simulation.phrases import caught, read

    try:
        parts = read(path)
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"--phrases {path} cannot be read: {error}") from None
    typer.echo(f"opt-out phrases understood by the rules: {'; '.join(map(str, caught(parts)))}")


async def _script(campaign: str) -> "Script":
    from voiceagents.campaigns import lifecycle
    from voiceagents.simulation.run import Script

    async with database(load()) as opened, opened.transaction() as session:
        return Script.of(await lifecycle.find(session, campaign))
