"""Where the repository and the real scans lie."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SHARED_DATA = ROOT.parent / "shared" / "data"
