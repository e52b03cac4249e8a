"""What is seen while the demo runs? A table that changes on a terminal, plain lines anywhere else."""

from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.markup import escape
from rich.table import Table

_WIDE = 160
_COLOUR = {"as expected": "green", "otherwise": "red"}


@dataclass
class Row:
    """One person, and what is going on with them."""

    name: str
    number: str
    behaviour: str
    state: str = "waits"
    words: str = ""
    """Who spoke last, and what."""

    verdict: str = ""
    """"as expected" or "otherwise", once the call has ended."""


class Screen:
    """Shows the rows from `with` to its end."""

    def __init__(self, rows: list[Row]) -> None:
        terminal = Console(highlight=False)
        self.console = terminal if terminal.is_terminal else Console(highlight=False, width=_WIDE)
        self._rows = rows
        self._live: Live | None = None
        self._counts = ""

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(console=self.console, get_renderable=self._table, refresh_per_second=8)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, text: str) -> None:
        """A line about what goes on."""
        self.console.print(f"[bold]==>[/] {escape(text)}")

    def changed(self, row: Row, what: str) -> None:
        """The row has changed; `what` is the news, for who sees no table."""
        if self._live is None:
            now = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  the clock on the wall
            self.console.print(f"{now}  {row.name:14} {what}", markup=False)

    def counts(self, text: str) -> None:
        """How many contacts are in which state now."""
        if text != self._counts:
            self._counts = text
            if self._live is None:
                now = f"{datetime.now():%H:%M:%S}"  # noqa: DTZ005  the clock on the wall
                self.console.print(f"{now}  {text}", markup=False)

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False, header_style="bold", expand=True)
        for title in ("who", "number", "behaviour", "state"):
            table.add_column(title, no_wrap=True)
        table.add_column("last words", no_wrap=True, overflow="ellipsis", ratio=1)
        for row in self._rows:
            colour = _COLOUR.get(row.verdict, "dim" if row.state == "waits" else "cyan")
            table.add_row(
                row.name, row.number, row.behaviour, f"[{colour}]{row.state}[/]", escape(row.words),
            )  # fmt: skip
        table.caption, table.caption_justify = self._counts, "left"
        return table
