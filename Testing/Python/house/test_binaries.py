"""The guard against large binaries sees them, and the repository has none but those allowed."""

import binaries


def test_the_repository_has_no_other_large_binary():
    assert binaries.main() == 0


def test_a_large_binary_is_named(tmp_path):
    (tmp_path / "scan.npz").write_bytes(b"\0" * (binaries.MAX_BYTES + 1))
    (tmp_path / "small.npz").write_bytes(b"\0" * 100)
    (tmp_path / "long.csv").write_text("1,2\n" * binaries.MAX_BYTES)
    names = ["scan.npz", "small.npz", "long.csv", "gone.npz"]
    assert binaries.too_large(tmp_path, names) == ["scan.npz"]


def test_every_allowed_binary_exists():
    assert all((binaries.ROOT / name).is_file() for name in binaries.ALLOWED)
