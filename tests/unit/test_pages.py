"""What the pages decide by themselves: words, forms read back, what is remembered, how a week is drawn."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from voiceagents.assistants.draft import AssistantDraft
from voiceagents.calls.states import CallState, Outcome
from voiceagents.campaigns import charts
from voiceagents.campaigns.charts import Ended
from voiceagents.campaigns.retry import RetryPolicy
from voiceagents.campaigns.rules import RULES
from voiceagents.campaigns.states import CampaignState, ContactState
from voiceagents.web.pages import assistant_form, retry_form, week, words
from voiceagents.web.pages.remembered import Remembered
from voiceagents.web.pages.rendering import here, local_target, marked, number, there

pytestmark = pytest.mark.unit

TUESDAY = datetime(2026, 3, 10, 16, 0, tzinfo=UTC)


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_sentence_and_a_tone(outcome: Outcome) -> None:
    assert words.of_outcome(outcome.value).endswith(".")
    assert words.tone_of_outcome(outcome.value) in {"good", "wait", "bad", ""}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_every_rule_has_a_name_to_read(rule: object) -> None:
    name = getattr(rule, "__name__")  # noqa: B009
    assert words.of_rule(name) != words.plain(name).capitalize()


@pytest.mark.parametrize("state", [*CampaignState, *ContactState, *CallState])
def test_a_state_is_read_without_underscores(state: object) -> None:
    assert "_" not in words.plain(state)
    assert words.tone_of_state(state) in {"good", "wait", "bad", "busy", ""}


def test_what_can_be_mended_says_how_and_the_sip_status_knows_best() -> None:
    assert "user name or password" in words.mend_of("rejected", 403 + 4)
    assert "channels" in words.mend_of("congestion", None)
    assert words.mend_of("completed", 200) == ""


def test_a_retry_table_comes_back_as_what_differs_from_the_defaults() -> None:
    form: dict[str, str] = {}
    for line in retry_form.shown(RetryPolicy.parse()):
        form |= {f"retry-{line.cause}-attempts": line.attempts, f"retry-{line.cause}-delays": line.delays}
        form |= {f"retry-{line.cause}-other": "yes"} if line.other_time_of_day else {}
    assert retry_form.read(form) == ({}, {})
    policy, errors = retry_form.read({**form, "retry-busy-attempts": "7"})
    assert (policy, errors) == ({"busy": {"attempts": "7"}}, {})
    assert RetryPolicy.parse(policy).rows[Outcome.BUSY].attempts == 7


def test_a_broken_retry_table_names_the_row_and_shows_what_was_typed() -> None:
    form = {"retry-busy-attempts": "x", "retry-busy-delays": "soon"}
    _, errors = retry_form.read(form)
    assert "busy" in errors["retry"]
    assert "soon" in errors["retry"]
    assert [line.delays for line in retry_form.given(form)] == ["soon"]


def test_a_form_without_a_retry_table_changes_none() -> None:
    assert retry_form.read({"window": "daily 09:00-17:00"}) == (None, {})


def test_a_window_is_drawn_with_spans_over_midnight_cut_in_two() -> None:
    drawn = week.of("mon 22:00-02:00", "America/New_York", TUESDAY)
    assert drawn.days[0] == ("Mon", ((22 * 60, 1440),))
    assert drawn.days[1] == ("Tue", ((0, 120),))
    assert not drawn.open_now
    assert drawn.opens_at == datetime(2026, 3, 17, 2, 0, tzinfo=UTC)


@pytest.mark.parametrize(("window", "zone"), [("mon-fry 9-5", "UTC"), ("daily 09:00-17:00", "New Yorck"), ("", "UTC")])
def test_a_window_that_cannot_be_understood_says_why_or_shows_nothing_open(window: str, zone: str) -> None:
    drawn = week.of(window, zone, TUESDAY)
    assert drawn.problem or not any(spans for _, spans in drawn.days)


def test_an_assistant_survives_its_form() -> None:
    draft = AssistantDraft.model_validate(
        {
            "id": "front-desk", "name": "Front desk", "prompt": "P", "temperature": 0.5, "record": True,
            "business_hours": "mon-fri 09:00-17:00", "time_zone": "America/New_York",
            "after_hours": {"mode": "message", "message": "closed"},
            "tools": {"end_call": {}, "collect_digits": {"confirm": True}},
            "transfer_targets": [{"name": "Ana", "number": "+12025550143", "description": "billing"}],
            "turn": {"endpointing": {"min_delay": 0.3}},
        }
    )  # fmt: skip
    read, errors = assistant_form.read(draft.model_dump(mode="json"), assistant_form.shown(draft))
    assert errors == {}
    assert read == draft


def test_what_is_wrong_with_an_assistant_is_said_at_its_field() -> None:
    before = AssistantDraft(id="a", name="A").model_dump(mode="json")
    form = {"name": "A", "temperature": "9", "turn": "{", "own_tools": "[]"}
    draft, errors = assistant_form.read(before, form)
    assert draft is None
    assert set(errors) == {"turn", "own_tools"}
    _, errors = assistant_form.read(before, {"name": "A", "temperature": "9"})
    assert set(errors) == {"temperature"}


def test_charts_leave_no_hour_out_and_put_rare_outcomes_together() -> None:
    ended = [
        Ended(TUESDAY, "busy", 0, 5), Ended(TUESDAY, "completed", 4, 4), Ended(TUESDAY, "failed", 0, 1),
        Ended(TUESDAY + timedelta(hours=2), "completed", 2, 2),
    ]  # fmt: skip
    assert len(charts.hours(ended)) == 3
    assert charts.outcomes_over_time(ended, most=2) == {
        "completed": [4, 0, 2], "busy": [5, 0, 0], "other": [1, 0, 0],
    }  # fmt: skip
    assert charts.answer_rate_by_hour_of_day(ended, ZoneInfo("America/New_York")) == {12: (4, 10), 14: (2, 2)}
    assert charts.hours([]) == []


async def test_what_is_slow_is_read_once_and_shown_as_last_known() -> None:
    memory, reads, gate = Remembered(), 0, asyncio.Event()

    async def read() -> int:
        nonlocal reads
        reads += 1
        await gate.wait()
        return reads

    first, second = await asyncio.gather(*(memory.get("key", read, patience=0.05) for _ in range(2)))
    assert (first.value, second.value, reads) == (None, None, 1)
    gate.set()
    assert (await memory.get("key", read, patience=5)).value == 1


async def test_what_is_quick_is_read_anew_and_an_error_is_not_remembered() -> None:
    memory, answers = Remembered(), iter((1, ValueError("away"), 3))

    async def read() -> int:
        answer = next(answers)
        if isinstance(answer, ValueError):
            raise answer
        return answer

    assert (await memory.get("key", read)).value == 1
    with pytest.raises(ValueError, match="away"):
        await memory.get("key", read)
    assert (await memory.get("key", read)).value == 3


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("/calls?outcome=busy", "/calls?outcome=busy"), ("//evil.example", "/x"), ("/\\evil.example", "/x"),
        ("https://evil.example", "/x"), ("/a\r\nSet-Cookie: b", "/x"), (None, "/x"), ("", "/x"),
    ],
)  # fmt: skip
def test_a_sign_in_leads_to_our_own_pages_only(text: str | None, target: str) -> None:
    assert local_target(text, "/x") == target


def test_small_things_are_shown_as_people_read_them() -> None:
    assert there(TUESDAY, "America/New_York") == "Tue 12:00 New York"
    assert number(1234567) == "1\u202f234\u202f567"
    assert here({"state": "done", "after": "9"}, after=None) == "?state=done"
    assert marked("a <b> c", [(2, 5, "bad")]) == 'a <mark class="bad">&lt;b&gt;</mark> c'
