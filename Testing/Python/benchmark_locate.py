"""Time and memory of the level finder beside what a segmentation network needs.

    python Testing/Python/benchmark_locate.py [CT] [--no-memory]

Prints the peak memory of finding levels in a made-up 512 x 512 x 1000 CT; then
seconds to read the CT, to find the levels, and for one forward pass of a 3-D
U-Net of nnU-Net's size (six stages, 32 to 320 channels, random weights) over
the same CT at 3 mm. CPU only; every figure is measured in this run.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

MEMORY = """
import sys, resource, time
sys.path.insert(0, {root!r})
import numpy as np
from CTBMDLib.spine.locate import find_levels
from CTBMDLib.volume import CTVolume
rng = np.random.default_rng(0)
tile = rng.integers(-60, 90, (8, 512, 512), dtype=np.int16)
hu = np.empty((1000, 512, 512), np.int16)
for k in range(0, 1000, 8):
    hu[k:k + 8] = tile
y, x = np.mgrid[:512, :512]
hu[:, np.hypot(x - 256, y - 256) > 220] = -1024
hu[:, 300:345, 225:287] = 180
hu[:, 355:372, 244:268] = 30
hu[:, 375:400, 235:277] = 300
for k in range(0, 1000, 36):
    hu[k:k + 9, 300:345, 225:287] = 90
matrix = np.diag([-0.75, -0.75, 1.0, 1.0])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.perf_counter()
found = find_levels(CTVolume(hu, matrix))
print(hu.nbytes / 2**20, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
      before / 1024, time.perf_counter() - start, len(found))
"""


def unet():
    """A plain 3-D U-Net of nnU-Net's default size with random weights."""
    import torch
    from torch import nn

    widths = (32, 64, 128, 256, 320, 320)

    def stage(a, b, stride):
        layers = []
        for n in range(2):
            layers += [
                nn.Conv3d(a if n == 0 else b, b, 3, stride=stride if n == 0 else 1, padding=1),
                nn.InstanceNorm3d(b, affine=True),
                nn.LeakyReLU(0.01, inplace=True),
            ]
        return nn.Sequential(*layers)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            inputs = (1, *widths[:-1])
            self.down = nn.ModuleList(
                stage(a, b, 1 if n == 0 else 2)
                for n, (a, b) in enumerate(zip(inputs, widths, strict=True))
            )
            pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
            self.up = nn.ModuleList(nn.ConvTranspose3d(a, b, 2, stride=2) for a, b in pairs)
            self.join = nn.ModuleList(stage(2 * b, b, 1) for _, b in pairs)
            self.last = nn.Conv3d(widths[0], 25, 1)

        def forward(self, x):
            skips = []
            for layer in self.down:
                x = layer(x)
                skips.append(x)
            skips.pop()
            for up, join in zip(self.up, self.join, strict=True):
                x = join(torch.cat([up(x), skips.pop()], dim=1))
            return self.last(x)

    return Net().eval()


def measure_memory() -> None:
    """Print the peak memory of finding levels in a made-up CT of 1000 slices."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY.format(root=str(ROOT))],
        capture_output=True,
        text=True,
        check=True,
    )
    size, peak, before, seconds, count = map(float, run.stdout.split())
    print(
        f"512x512x1000 int16: volume {size:.0f} MiB, peak {peak:.0f} MiB "
        f"({before:.0f} before), limit {2 * size + 500:.0f}; {seconds:.1f} s, {count:.0f} levels"
    )


def main(arguments=None) -> int:
    from CTBMDLib.reading.reading import read_ct
    from CTBMDLib.spine.grid import make_grid, reduce_ct
    from CTBMDLib.spine.locate import find_levels

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("ct", nargs="?", default=ROOT.parent / "shared" / "data" / "ct_acrin_f46")
    parser.add_argument("--no-memory", action="store_true")
    options = parser.parse_args(arguments)

    if not options.no_memory:
        # First of all: a child's peak begins with what its parent held when it was made.
        measure_memory()
    start = time.perf_counter()
    volume = read_ct(options.ct)
    reading = time.perf_counter() - start
    times, processor = [], []
    for _ in range(3):
        start, cpu = time.perf_counter(), time.process_time()
        found = find_levels(volume)
        times.append(time.perf_counter() - start)
        processor.append(time.process_time() - cpu)
    finding = min(times)
    print(f"{options.ct}: {volume.hu.shape[::-1]} voxels, {len(found)} levels found")
    print(f"read         {reading:8.2f} s")
    print(f"find levels  {finding:8.2f} s (best of 3; processor time {min(processor):.2f} s)")

    import torch

    grid = make_grid(reduce_ct(volume)).hu
    shape = [int(np.ceil(n / 32)) * 32 for n in grid.shape]
    padded = np.full(shape, -1000.0, np.float32)
    padded[: grid.shape[0], : grid.shape[1], : grid.shape[2]] = grid
    net = unet()
    weights = sum(p.numel() for p in net.parameters()) / 1e6
    with torch.inference_mode():
        start = time.perf_counter()
        net(torch.from_numpy(padded)[None, None] / 1000.0)
        forward = time.perf_counter() - start
    print(
        f"U-Net        {forward:8.2f} s (one forward pass, {weights:.0f} million weights, "
        f"{'x'.join(map(str, shape))} at 3 mm, {torch.get_num_threads()} threads)"
    )
    print(f"finding is {forward / finding:.0f} times faster than the U-Net, goal 50")
    print(f"finding takes {finding / reading:.1f} times as long as reading, goal below 1")
    return 0


if __name__ == "__main__":
    sys.exit(main())
