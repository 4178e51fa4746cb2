"""Work shared among a few threads: NumPy and SciPy let others run during long operations."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

WORKERS = min(4, os.cpu_count() or 1)


def in_threads(work, parts) -> list:
    """`[work(part) for part in parts]`, several at a time; errors are raised as there."""
    parts = list(parts)
    if WORKERS == 1 or len(parts) < 2:
        return [work(part) for part in parts]
    with ThreadPoolExecutor(min(WORKERS, len(parts))) as pool:
        return list(pool.map(work, parts))


def shares(count: int, least: int = 1) -> list[slice]:
    """Slices of about equal length over `count` things, one a thread, none below `least`."""
    number = max(1, min(WORKERS, count // max(1, least)))
    edges = [count * n // number for n in range(number + 1)]
    return [slice(a, b) for a, b in zip(edges, edges[1:], strict=False)]
