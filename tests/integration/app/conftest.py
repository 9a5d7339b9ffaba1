import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """A data directory that every user may enter (pytest's own folders are closed to other users)."""
    folder = Path(tempfile.mkdtemp(prefix="ringdesk-test-"))
    folder.chmod(0o755)
    yield folder / "data"
    shutil.rmtree(folder)
