"""Does an error of the database keep to itself whom a statement was about?"""

import pytest

from voiceagents.db import Database

pytestmark = pytest.mark.unit


def test_an_error_of_the_database_does_not_show_the_values_of_its_statement() -> None:
    database = Database("postgresql://somebody@127.0.0.1:1/none")
    assert database._engine.sync_engine.hide_parameters  # pyright: ignore[reportPrivateUsage]
