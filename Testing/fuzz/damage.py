"""Ways to damage bytes, texts and JSON values, each by a seeded generator."""

from __future__ import annotations

import copy
import json
import re
from typing import Any

import numpy as np

ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 0.5, 1e-9, 1e400, -1e400, float("nan"), 10**30, 10**400, "", "x", "L1",
    "nan", "1e999", [], {}, [[]], [1, 2], [1, 2, "3"], ["a", "b", "c"], [None] * 3, [1e400] * 3,
    [[1, 2], [3]], {"a": 1}, "\x00", "\ud800", "a" * 5000, list(range(5000)),
)  # fmt: skip
NUMBERS = (
    b"0", b"-1", b"1", b"3", b"0.5", b"1e-30", b"1e30", b"1e999", b"-1e999", b"nan", b"inf", b"99999",
    b"2147483648", b"9" * 30, b"", b"x", b"1,5", b"0x10", b"1_0", b" ",
)  # fmt: skip


def damaged(content: bytes, rng: np.random.Generator, start: int = 0, end: int | None = None):
    """Some bytes between `start` and `end` changed, taken out, put in, doubled, or the rest cut off."""
    content = bytearray(content)
    end = min(len(content) if end is None else end, len(content))
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(start, max(end, start + 1)))
        match rng.integers(7):
            case 0:
                content[place : place + 1] = rng.integers(0, 256, 1, np.uint8).tobytes()
            case 1:
                width = int(rng.choice([1, 2, 4, 8]))
                content[place : place + width] = bytes([rng.choice([0, 1, 127, 128, 255])]) * width
            case 2:
                del content[place : place + int(rng.integers(1, 40))]
            case 3:
                content[place:place] = rng.integers(0, 256, rng.integers(1, 40), np.uint8).tobytes()
            case 4:
                del content[place:]
            case 5:
                part = content[place : place + int(rng.integers(1, 200))]
                content[place:place] = part
            case _:
                if place < len(content):
                    content[place] ^= 1 << int(rng.integers(8))
    return bytes(content)


def damaged_text(content: bytes, rng: np.random.Generator) -> bytes:
    """Lines swapped, doubled, lost or cut, numbers made impossible; at times bytes as well."""
    if rng.random() < 0.3:
        return damaged(content, rng)
    lines = content.split(b"\n")
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(lines)))
        match rng.integers(6):
            case 0:
                lines.insert(place, lines[place])
            case 1:
                del lines[place]
            case 2:
                other = int(rng.integers(len(lines)))
                lines[place], lines[other] = lines[other], lines[place]
            case 3:
                lines[place] = lines[place][: int(rng.integers(len(lines[place]) + 1))]
            case _:
                lines[place] = _other_number(lines[place], rng)
        lines = lines or [b""]
    return b"\n".join(lines)


def _other_number(line: bytes, rng: np.random.Generator) -> bytes:
    found = list(re.finditer(rb"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\w+", line))
    if not found:
        return line
    one = found[rng.integers(len(found))]
    return line[: one.start()] + NUMBERS[rng.integers(len(NUMBERS))] + line[one.end() :]


def damaged_json(content: bytes, rng: np.random.Generator) -> bytes:
    """Values made odd, lost or renamed; at times bytes damaged or the nesting without end."""
    chance = rng.random()
    if chance < 0.2:
        return damaged(content, rng)
    if chance < 0.22:
        return b"[" * 100_000
    data = json.loads(content)
    for _ in range(rng.integers(1, 3)):
        places = list(_places(data))
        place = places[rng.integers(len(places))]
        if not place:
            data = _odd(rng)
            break
        inner = data
        for key in place[:-1]:
            inner = inner[key]
        match rng.integers(5):
            case 0:
                del inner[place[-1]]
            case 1 if isinstance(inner, dict):
                inner[f"{place[-1]}x"] = inner.pop(place[-1])
            case 2 if _is_small_number(inner[place[-1]]):
                inner[place[-1]] *= float(rng.choice([-1, 0, 1e-6, 0.9, 2, 1e6]))
            case _:
                inner[place[-1]] = _odd(rng)
    return json.dumps(data).encode()


def _is_small_number(value: Any) -> bool:
    """Whether a number can be multiplied: an integer of JSON may be too large to be a float."""
    return isinstance(value, float) or (isinstance(value, int) and abs(value) < 1 << 53)


def _odd(rng: np.random.Generator) -> Any:
    """One of `ODD`, as a copy: later damage may go into it."""
    return copy.deepcopy(ODD[rng.integers(len(ODD))])


def _places(value: Any, at: tuple[Any, ...] = ()):
    """Every place in a JSON value, as a path of keys."""
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in items if isinstance(value, (dict, list)) else ():
        if isinstance(inner, (dict, list)):
            yield from _places(inner, (*at, key))
        else:
            yield (*at, key)
