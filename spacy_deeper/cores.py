import os


def n_cores() -> int:
    """Return how many cores this process may use; `os` tells since Python 3.13."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
