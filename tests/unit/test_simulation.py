"""Who is simulated, and how the calls with them are judged."""

from collections import Counter
from pathlib import Path

import pytest
from rich.console import Console

from voiceagents import phone
from voiceagents.calls.states import AnsweredBy, Outcome
from voiceagents.simulation.costs import Used
from voiceagents.simulation.judging import Figures, Gate, Judged, matrix, percentiles
from voiceagents.simulation.personas import MOST, people
from voiceagents.simulation.phrases import caught, read
from voiceagents.simulation.report import show

pytestmark = pytest.mark.unit


def call(answers: str = "person", decided: str = "person", outcome: str = "completed", **fields: object) -> Judged:
    values: dict[str, object] = {
        "persona": "opts out" if outcome == "opted_out" else answers,
        "number": "+12025550100",
        "is_person": answers == "person",
        "answers": answers,
        "decided": decided,
        "expected": [outcome],
        "outcome": outcome,
    }
    return Judged.model_validate({**values, **fields})


def test_the_same_seed_gives_the_same_people_and_parts_join_without_a_seam() -> None:
    assert people(60, seed=3) == people(60, seed=3)
    assert people(60, seed=3) == [*people(25, seed=3), *people(35, seed=3, first=25)]
    assert people(60, seed=3) != people(60, seed=4)


def test_everybody_has_a_number_of_their_own_that_belongs_to_nobody() -> None:
    everybody = people(MOST)
    assert len({person.number for person in everybody}) == MOST
    assert all(phone.dialable(person.number) and "55501" in person.number for person in everybody)
    with pytest.raises(ValueError, match="at most"):
        people(MOST + 1)


def test_every_persona_comes_in_its_share() -> None:
    kinds = Counter(person.persona for person in people(200))
    assert kinds["voicemail"] >= 40
    assert kinds["opts out"] >= 10
    assert {"screening", "menu", "fax", "announcement", "talks over", "long pauses"} <= set(kinds)
    assert all(person.outcomes <= set(Outcome) for person in people(60))
    assert {person.answers for person in people(200)} == set(AnsweredBy)


def test_a_person_taken_for_a_machine_counts_as_hung_up_on() -> None:
    calls = [
        call(),
        call(decided="voicemail", outcome="voicemail"),
        call(decided="menu"),
        call("voicemail", "voicemail"),
    ]
    figures = Figures.of(calls)
    assert (figures.people, figures.people_kept) == (3, 1)


def test_the_gate_names_what_was_not_reached() -> None:
    good = [call() for _ in range(99)] + [call("voicemail", "voicemail", "voicemail") for _ in range(20)]
    assert Figures.of(good).short_of(Gate()) == []
    missed = [call("voicemail", "person", "completed", expected=["voicemail"]) for _ in range(2)]
    assert Figures.of([*good, *missed]).short_of(Gate()) == ["voicemails found: 20 of 22, at least 95% are needed"]
    late = [call(problems=["BYE came 9.0 s after our last words"]) for _ in range(20)]
    assert "calls that ended as they must" in Figures.of([*good, *late]).short_of(Gate())[0]
    assert Figures.of([]).short_of(Gate()) == []


def test_the_matrix_counts_what_was_taken_for_what() -> None:
    rows, columns, counts = matrix([("person", "person"), ("voicemail", "person"), ("voicemail", "voicemail")])
    assert (rows, columns) == (["person", "voicemail"], ["person", "voicemail"])
    assert counts["voicemail", "person"] == 1
    assert percentiles([3.0, 1.0, 2.0]) == {"p50": 2.0, "p95": 3.0}
    assert percentiles([]) == {}


def test_phrases_are_read_in_parts_and_the_missed_ones_named(tmp_path: Path) -> None:
    file = tmp_path / "phrases.txt"
    file.write_text("# a remark\n[seen]\nStop calling me.\n\n[held out]\nTake me off your list.\nTulips are red.\n")
    seen, held_out = caught(read(file))
    assert (str(seen), str(held_out)) == ("seen: 1 of 1", "held out: 1 of 2")
    assert held_out.missed == ["Tulips are red."]


def test_the_wait_after_a_short_hello_is_told_from_the_wait_after_words_that_must_be_read() -> None:
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  closed with the process
    hello = call(decisions=["person by hello after 1.2 s: "], seconds_to_first_audio=0.5)
    long = call(decisions=["person by words after 4.1 s: Hello, …"], seconds_to_first_audio=1.5)
    show([hello, long], Gate(), console)
    rows = [line.split("│")[1:5] for line in console.export_text().splitlines() if "to our first sound" in line]
    assert [[cell.strip() for cell in row][1:3] for row in rows] == [["1", "0.50"], ["1", "1.50"]]


def test_the_report_shows_the_calls_that_went_wrong_and_closes_the_gate() -> None:
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  closed with the process
    calls = [call(), call("voicemail", "person", "hung_up", expected=["voicemail"], seconds_to_decide=1.5)]
    assert show(calls, Gate(), console) == 1
    text = console.export_text()
    assert "ended as hung_up, not voicemail (taken for person)" in text
    assert "voicemails found: 0 of 1" in text


USAGE = [
    {"type": "llm_usage", "provider": "openai", "model": "large", "input_tokens": 900, "output_tokens": 60},
    {"type": "llm_usage", "provider": "openai", "model": "small", "input_tokens": 100},
    {"type": "tts_usage", "model": "voice", "characters_count": 240, "audio_duration": 12.5},
    {"type": "stt_usage", "model": "ears", "audio_duration": 8.0},
    {"type": "eot_usage", "model": "turn-detector", "total_requests": 4},
]


def test_what_the_models_of_a_call_took_is_summed_and_shown_for_all_calls_and_for_one() -> None:
    used = Used.of(USAGE)
    assert used == Used(
        tokens_read=1000, tokens_written=60, characters_spoken=240, seconds_spoken=12.5, seconds_heard=8.0
    )
    assert Used.of([]) == Used()
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  closed with the process
    show([call(used=used, talk_seconds=30), call(used=Used(tokens_read=500), talk_seconds=30)], Gate(), console)
    (line,) = [line for line in console.export_text().splitlines() if "tokens read" in line]
    assert line.replace("│", " ").split() == ["tokens", "read", "1,500", "750", "1,000"]


def test_the_verdicts_of_the_judges_are_counted_and_the_failed_ones_explained() -> None:
    verdicts = [
        {"judge": "task_completion", "verdict": "pass", "reasoning": "It was done."},
        {"judge": "safety", "verdict": "fail", "reasoning": "It promised [a cure]."},
    ]
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  closed with the process
    assert show([call(verdicts=verdicts, unjudged=1)], Gate(), console) == 0
    text = console.export_text()
    assert "+12025550100 person, safety: It promised [a cure]." in text
    assert "1 verdicts are missing" in text
    console = Console(width=150, record=True, file=open("/dev/null", "w"))  # noqa: SIM115  closed with the process
    show([call()], Gate(), console)
    assert "judges" not in console.export_text()
