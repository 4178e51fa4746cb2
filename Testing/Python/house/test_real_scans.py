"""A checkout without the real scans beside it passes all the same: their tests skip there."""

import re

from paths import ROOT

TESTS = ROOT / "Testing" / "Python"


def test_tests_reach_the_real_scans_by_the_fixture_that_skips():
    own = re.compile(r"SHARED_DATA|[\"']shared[\"']|shared/data")
    found = [
        str(path.relative_to(ROOT))
        for path in sorted(TESTS.rglob("test_*.py"))
        if path.name != "test_real_scans.py" and own.search(path.read_text(encoding="utf-8"))
    ]
    assert found == [], "these should ask for the fixture 'shared_data'"
