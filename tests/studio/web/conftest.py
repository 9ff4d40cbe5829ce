"""What the tests of the page share."""

from collections.abc import Iterator

import pytest

from studio.web.desk import Studio
from studio.web.networks import Networks


@pytest.fixture
def studio() -> Iterator[Studio]:
    """What all people share, without work at the end."""
    made = Studio(Networks())
    yield made
    made.turns.close()
