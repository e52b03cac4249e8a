"""What time is it? The one place that asks, so that a test can say."""

from collections.abc import Callable
from datetime import UTC, datetime

_source: Callable[[], datetime] | None = None


def now() -> datetime:
    """The present instant, in UTC."""
    return _source() if _source is not None else datetime.now(UTC)


def set_source(source: Callable[[], datetime] | None) -> None:
    """Makes `now` ask `source`; None: the system's clock again."""
    global _source
    _source = source
