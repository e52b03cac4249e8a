"""How does a long file leave? Piece by piece, named, as an attachment that no browser shows as a page."""

from collections.abc import AsyncIterable

from fastapi.responses import StreamingResponse

from voiceagents import clock


def csv_response(pieces: AsyncIterable[str | bytes], what: str) -> StreamingResponse:
    """A CSV file that is made while it is sent."""
    name = f"{what}-{clock.now():%Y-%m-%d}.csv"
    return StreamingResponse(
        pieces,
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )
