"""What the cases of a batch are called in its tables, and the file that tells its user who they are.

The tables name nobody: a case is 'case 7', or what the user's own list calls it.
Beside them lies a file that the user alone may read, with the folder of each case.
It is written before the first case is estimated and never forgets one, so that the
same output gives the same case the same name however often it is made again.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ..errors import CTBMDError
from ..safefile import write_text
from .caselist import Case, case_table, identity_file, read_case_table, whole_path

_NUMBERED = re.compile(r"case (\d{1,9})")

_Key = tuple[str, str, int]


class Register:
    """The names of a batch's cases, kept in a file beside its output.

    Parameters
    ----------
    output : Path
        The batch's table.
    cases : sequence of Case
    given : bool
        Whether `Case.case` is a name that the user's own list gives, and may be
        told; otherwise it was made of folders or headers, and may not.

    Attributes
    ----------
    path : Path
        The file, 'results.identity.csv' beside 'results.csv'.
    cases : list of Case
        The same cases under their names.

    Raises
    ------
    CTBMDError
        Where a file of that name lies there that is no such register.
    """

    def __init__(self, output: Path, cases: Sequence[Case], given: bool) -> None:
        self.path = identity_file(output)
        self._old = self._read()
        known = dict(zip(_keys(self._old), [case.case or "" for case in self._old], strict=True))
        named = [" ".join((case.case or "").split()) if given else "" for case in cases]
        names = _names(named, [known.get(key, "") for key in _keys(cases)], set(known.values()))
        self.cases = [replace(x, case=name) for x, name in zip(cases, names, strict=True)]
        if any(not name for name in named) or len(set(named)) < len(named):
            self.write({})

    def write(self, reasons: dict[str, str]) -> None:
        """Write the file: each case, where it lies, and why it failed.

        Parameters
        ----------
        reasons : dict of str to str
            By the names of the cases.

        Raises
        ------
        CTBMDError
        """
        now = set(_keys(self.cases))
        earlier = [x for x, key in zip(self._old, _keys(self._old), strict=True) if key not in now]
        rows = [(x, reasons.get(x.case or "", "")) for x in (*self.cases, *earlier)]
        write_text(self.path, case_table(rows), overwrite=True, private=True)

    def _read(self) -> list[Case]:
        if not self.path.exists():
            return []
        try:
            cases = read_case_table(self.path)
        except CTBMDError:
            cases = [Case("")]
        if not all(case.case and case.path for case in cases):
            raise CTBMDError(
                f"'{self.path}' is not the file that says which case is which; name another output, "
                "or delete it, and the cases get new names.",
                "identity-file",
            )
        return cases


def _keys(cases: Iterable[Case]) -> list[_Key]:
    """What tells cases apart between two runs: path and series, and how many-th of these it is."""
    count: Counter[tuple[str, str]] = Counter()
    keys = []
    for case in cases:
        key = (whole_path(case.path), case.series_uid or "")
        count[key] += 1
        keys.append((*key, count[key]))
    return keys


def _names(named: Sequence[str], known: Sequence[str], taken: set[str]) -> list[str]:
    """A name of its own for each case: the list's, else that of before, else the next number.

    Parameters
    ----------
    named : sequence of str
        What the user's list calls each; '' where it does not.
    known : sequence of str
        What each was called before; '' for a new one.
    taken : set of str
        All names of before, those of cases that are no longer there included.
    """
    numbers = [int(m[1]) for m in map(_NUMBERED.fullmatch, (*named, *taken)) if m]
    last = max(numbers, default=0)
    out: list[str] = []
    for own, before in zip(named, known, strict=True):
        numbered = re.fullmatch(re.escape(own) + r" \(\d+\)", before) if own else before
        if own and named.count(own) == 1:
            name = own
        elif before and numbered and before not in out and before not in named:
            name = before
        elif own:
            used = {*taken, *named, *out}
            name = next(x for n in range(1, 10**9) if (x := f"{own} ({n})") not in used)
        else:
            last += 1
            name = f"case {last}"
        out.append(name)
    return out
