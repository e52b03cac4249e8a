"""Which time zones a contact may be in, and by which source we know."""

import pytest

from voiceagents.campaigns.zones import ZoneSource, zones_of
from voiceagents.zones import UnknownZone, zone_named

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("column", "phone", "names", "source"),
    [
        ("Europe/Paris", "+12025550143", ["Europe/Paris"], ZoneSource.CONTACT),
        (" america/new york ", "+442079460123", ["America/New_York"], ZoneSource.CONTACT),
        (None, "+12025550143", ["America/New_York"], ZoneSource.NUMBER),
        ("", "+442079460123", ["Europe/London"], ZoneSource.NUMBER),
        ("  ", "+33199001234", ["Europe/Paris"], ZoneSource.NUMBER),
        (None, "+15555555555", ["Europe/Berlin"], ZoneSource.CAMPAIGN),
        (None, "anonymous", ["Europe/Berlin"], ZoneSource.CAMPAIGN),
    ],
)
def test_the_column_goes_before_the_number_and_the_number_before_the_campaign(
    column: str | None, phone: str, names: list[str], source: ZoneSource
) -> None:
    result = zones_of(column, phone, "Europe/Berlin")
    assert (result.names, result.source) == (names, source)


def test_a_number_that_may_be_in_many_zones_is_in_all_of_them() -> None:
    result = zones_of(None, "+61491570110", "Europe/Berlin")
    assert {"Australia/Perth", "Australia/Sydney"} <= set(result.names)
    assert str(len(result.names)) in result.words


def test_a_toll_free_number_belongs_to_no_place_so_the_campaigns_zone_counts_on_record() -> None:
    result = zones_of(None, "+18005550100", "America/Chicago")
    assert (result.names, result.source) == (["America/Chicago"], ZoneSource.CAMPAIGN)
    assert "no place" in result.words


def test_an_unknown_zone_in_the_column_is_not_used_and_the_record_says_so() -> None:
    result = zones_of("Mars/Base", "+12025550143", "Europe/Berlin")
    assert result.source is ZoneSource.NUMBER
    assert "Mars/Base" in result.words


def test_with_an_unknown_campaign_zone_there_is_no_zone_at_all() -> None:
    result = zones_of(None, "+15555555555", "nowhere")
    assert result.zones == ()
    assert "nowhere" in result.words


@pytest.mark.parametrize(
    ("name", "mend"),
    [
        ("New York", "America/New_York"),
        ("EST", "America/New_York"),
        ("Berlin", "Europe/Berlin"),
        ("PDT", "America/Los_Angeles"),
        ("CEST", "Europe/Berlin"),
        ("Eastern Time (US & Canada)", "America/New_York"),
        ("Pacific Standard Time", "America/Los_Angeles"),
        ("GMT+2", "an offset, which knows no summer time"),
        ("UTC-05:00", "an offset"),
        ("+0530", "an offset"),
        ("a" * 10_000, "IANA"),
        ("Etc/Unknown", "IANA"),
        ("../../etc/passwd", "IANA"),
        ("", "IANA"),
        ("localtime", "IANA"),
    ],
)
def test_names_that_are_no_zone_are_refused_with_a_mend(name: str, mend: str) -> None:
    with pytest.raises(UnknownZone, match=mend):
        zone_named(name)
