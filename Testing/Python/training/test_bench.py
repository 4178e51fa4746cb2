"""The benchmark of training tells what it measured."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

torch = pytest.importorskip("torch")

from training.fitting import bench  # noqa: E402
from training.fitting.train import fits  # noqa: E402


def test_it_tells_images_a_second_and_what_a_step_goes_to(capsys):
    few = ["--members", "2", "--batch", "4", "--steps", "1", "--repeats", "1", "--single"]
    assert bench.main(["--device", "cpu", *few]) == 0
    told = capsys.readouterr().out
    line = next(x for x in told.splitlines() if x.startswith("2 side by side  "))
    ms, images = (float(word) for word in line.split()[4:6])
    assert images == pytest.approx(2 * 4 / ms * 1000, rel=0.1)
    assert told.count("what a step goes to") == 3 and "aten::convolution_backward" in told


def test_launches_are_told_apart_from_kernels():
    cpu, cuda = torch.autograd.DeviceType.CPU, torch.autograd.DeviceType.CUDA

    def row(key, count, host, device, kind):
        return SimpleNamespace(
            key=key,
            count=count,
            self_cpu_time_total=host,
            self_device_time_total=device,
            device_type=kind,
        )

    rows = [
        row("cudaLaunchKernel", 2000, 500_000.0, 0.0, cpu),
        row("cudaGraphLaunch", 10, 100_000.0, 0.0, cpu),
        row("aten::conv2d", 20, 100_000.0, 300_000.0, cpu),  # of which the kernel's own row tells
        row("sm90_xmma", 20, 0.0, 300_000.0, cuda),
    ]
    told = bench.launching(rows, 1.2, 10)
    assert "201 launches a step, 50% of the time in launches; kernels run 25%" in told


def test_images_stay_on_a_gpu_that_has_room_for_them(monkeypatch):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (1000, 8000))
    assert fits(10**15, "cpu") and fits(400, "cuda") and not fits(600, "cuda:0")
