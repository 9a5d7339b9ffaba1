"""Places where a test ends this process as kill -9 does, by name: `crashpoint("outbox.after_commit")`.

Unarmed, a point costs one comparison. RINGDESK_CRASHPOINTS names a folder; a test arms a point by putting a file of its name there.
The process that passes the point next renames that file to `<name>.fired`, writes its pid into it and dies: of several processes one,
and once, so that whoever starts it again need not change its environment. A service that is reached by https does not start with it.
"""

import os
import signal
from pathlib import Path
from typing import Final

VARIABLE: Final = "RINGDESK_CRASHPOINTS"
_FOLDER: Final = os.environ.get(VARIABLE)


def crashpoint(name: str) -> None:
    """Die here, if a test has armed this point."""
    if _FOLDER is None:
        return
    armed = Path(_FOLDER, name)
    fired = armed.with_name(f"{name}.fired")
    try:
        armed.rename(fired)
    except OSError:  # not armed, or another process was faster
        return
    fired.write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def are_enabled() -> bool:
    return _FOLDER is not None
