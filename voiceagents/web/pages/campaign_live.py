"""How is a campaign doing right now? Its live page, told by events what to read again, with the controls at hand."""

import asyncio
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, RedirectResponse, Response
from pydantic import ValidationError

from voiceagents import clock
from voiceagents.campaigns import charts, editing
from voiceagents.campaigns.lifecycle import CampaignProblem
from voiceagents.campaigns.states import CampaignState
from voiceagents.campaigns.terms import Terms
from voiceagents.web import audit
from voiceagents.web.auth import Editor, Viewer
from voiceagents.web.models import Role
from voiceagents.web.pages import figures, stream
from voiceagents.web.pages.campaign_editing import tabs_of
from voiceagents.web.pages.campaigns import found
from voiceagents.web.pages.rendering import fragment, page, then
from voiceagents.web.pages.week import zone_or_utc
from voiceagents.web.pages.words import mend_of, of_outcome, plain
from voiceagents.web.state import database_of

router = APIRouter(prefix="/campaigns/{campaign_id}")

_SHOWN_CALLS = 50


@router.get("")
async def live(request: Request, user: Viewer, campaign_id: UUID) -> Response:
    database = database_of(request)
    campaign = await found(database, campaign_id)
    if campaign.state is CampaignState.DRAFT and user.may(Role.EDITOR):
        return RedirectResponse(f"/campaigns/{campaign_id}/check", status_code=303)
    known, failures = await asyncio.gather(
        figures.status_of(database, campaign), figures.failures(database, campaign_id, clock.now())
    )
    return page(
        request, user, "campaigns/live", nav="Campaigns", here="live", known=known, most=_SHOWN_CALLS,
        failures=failures.value, mend_of=mend_of, of_outcome=of_outcome, **tabs_of(campaign),
    )  # fmt: skip


@router.get("/now")
async def now(request: Request, user: Viewer, campaign_id: UUID, state: str = "") -> Response:
    """What changes by itself. A page that was made in another state than this is loaded again: it has other buttons."""
    database = database_of(request)
    campaign = await found(database, campaign_id)
    if state and state != campaign.state.value:
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    known = await figures.status_of(database, campaign)
    return fragment(request, user, "campaigns/_now", campaign=campaign, known=known, most=_SHOWN_CALLS)


@router.get("/failures")
async def failures(request: Request, user: Viewer, campaign_id: UUID) -> Response:
    """What went wrong lately, in words."""
    known = await figures.failures(database_of(request), campaign_id, clock.now())
    return fragment(
        request, user, "campaigns/_failures", failures=known.value, mend_of=mend_of, of_outcome=of_outcome,
        campaign_id=campaign_id,
    )  # fmt: skip


@router.get("/plots/outcomes")
async def outcomes(request: Request, user: Viewer, campaign_id: UUID) -> Response:
    ended = (await figures.ended_by_hour(database_of(request), campaign_id, clock.now())).value or ()
    lines = charts.outcomes_over_time(ended)
    return JSONResponse(
        {
            "x": [int(hour.timestamp()) for hour in charts.hours(ended)],
            "time": True,
            "series": [{"label": plain(name), "values": values} for name, values in lines.items()],
        }
    )


@router.get("/plots/answers")
async def answers(request: Request, user: Viewer, campaign_id: UUID) -> Response:
    database = database_of(request)
    campaign = await found(database, campaign_id)
    ended = (await figures.ended_by_hour(database, campaign_id, clock.now())).value or ()
    rates = charts.answer_rate_by_hour_of_day(ended, zone_or_utc(campaign.time_zone))
    return JSONResponse(
        {
            "x": list(range(24)) if rates else [],
            "x_label": "Hour",
            "bars": True,
            "unit": "%",
            "series": [{"label": "answered", "values": [_percent(rates.get(hour)) for hour in range(24)]}],
        }
    )


def _percent(counted: tuple[int, int] | None) -> float | None:
    return None if counted is None else 100 * counted[0] / counted[1]


@router.get("/events")
async def changes(request: Request, user: Viewer, campaign_id: UUID) -> Response:
    """Says "changed" whenever something of this campaign has."""
    return stream.changes(
        database_of(request),
        ("call", "campaign"),
        lambda event: (event.id if event.kind == "campaign" else event.campaign) == str(campaign_id),
    )


@router.post("/limits")
async def limits(request: Request, user: Editor, campaign_id: UUID) -> Response:
    """Calls at once and calls a second, changed while the campaign runs."""
    form = await request.form()
    given = {name: form[name] for name in ("max_concurrent", "calls_per_second") if isinstance(form.get(name), str)}
    database = database_of(request)
    try:
        async with database.transaction() as session:
            edited = await editing.edit(session, campaign_id, Terms.model_validate(given), clock.now())
            await audit.record(session, request, user, "changed", "campaign", campaign_id, fields=edited.changed)
        said = "The limits are changed; they count from the next call on."
    except ValidationError as error:
        one = error.errors(include_input=False, include_url=False)[0]
        said = f"Not changed: {plain(one['loc'][0])}: {one['msg'].removeprefix('Value error, ')}"
    except CampaignProblem as error:
        said = str(error)
    figures.forget(campaign_id)
    return then(request, f"/campaigns/{campaign_id}", said)
