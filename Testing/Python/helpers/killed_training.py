"""A training killed at random moments and gone on with, again and again.

    python killed_training.py FOLDER KILLS

Every second one is killed after its first checkpoint: on a busy machine its start takes so long
that all random moments may lie before it. A process of its own, in which torch computes nothing: its forks are killed and do the work.
`FOLDER/NUMBER.npz` are the weights that the training gone on with ends in; what was kept when
it was killed is said, a line each.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "training"), str(HERE.parents[2])]


def start(train, checkpoint: Path, weights: Path) -> int:
    """A fork that trains and writes its weights; its id."""
    process = os.fork()
    if process == 0:
        code = 99
        try:
            np.savez(weights, **train(checkpoint))
            code = 0
        finally:
            os._exit(code)
    return process


def wait_for(checkpoint: Path) -> None:
    """Until a training has kept something; it has a minute for that."""
    end = time.monotonic() + 60
    while not checkpoint.exists() and time.monotonic() < end:
        time.sleep(0.002)


def main(folder: Path, kills: int) -> None:
    import test_fitting as t
    import torch

    torch.set_num_threads(1)
    t.module.SAVE_MINUTES = -1.0  # after every step
    made = t.images()
    t.images = lambda: made
    began = time.monotonic()
    quiet = start(t.train, folder / "quiet.pt", folder / "quiet.npz")
    wait_for(folder / "quiet.pt")
    kept_after = time.monotonic() - began
    assert os.waitpid(quiet, 0)[1] == 0
    seconds = time.monotonic() - began
    # The latest a kill comes: after the start of the process, and after its first checkpoint.
    latest = {False: seconds, True: 0.7 * (seconds - kept_after)}
    chance = random.Random(0)
    for number in range(kills):
        checkpoint, weights = folder / f"{number}.pt", folder / f"{number}.npz"
        while True:
            process = start(t.train, checkpoint, folder / "killed.npz")
            has_kept = bool(number % 2)
            if has_kept:
                wait_for(checkpoint)
            time.sleep(chance.uniform(0, latest[has_kept]))
            os.kill(process, signal.SIGKILL)
            if os.WIFSIGNALED(os.waitpid(process, 0)[1]):
                break
            latest[has_kept] *= 0.7  # it had ended before: the machine has become quicker
            checkpoint.unlink()
        kept = torch.load(checkpoint, weights_only=True)["step"] if checkpoint.exists() else 0
        assert os.waitpid(start(t.train, checkpoint, weights), 0)[1] == 0
        print(number, kept, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
