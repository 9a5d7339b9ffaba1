import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.app.people import People, people_at
from tests.stack import Stack


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that every user may enter (pytest's own folders are closed to other users)."""
    folder = Path(tempfile.mkdtemp(prefix="ringdesk-test-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
async def people(stack: Stack) -> AsyncIterator[People]:
    async with people_at(stack) as found:
        yield found
