"""How busy this machine is."""

import os


def crowd() -> float:
    """By how much a machine that has more to do than it has cores is slower, about. Times are judged with it: 1 on a quiet one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
