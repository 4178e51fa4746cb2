"""A process that is killed at the n-th call that changes the disk."""

import os
import signal


def dies_at(step, after, calls):
    """Let this process die at the n-th call that changes the disk, before it or after it.

    Parameters
    ----------
    step : int
        The first call is 1.
    after : bool
    calls : sequence of str
        Functions of `os` that count.
    """
    count = [0]

    def wrapped(real):
        def call(*arguments, **more):
            count[0] += 1
            if count[0] == step and not after:
                os.kill(os.getpid(), signal.SIGKILL)
            try:
                return real(*arguments, **more)
            finally:
                if count[0] == step:
                    os.kill(os.getpid(), signal.SIGKILL)

        return call

    for name in calls:
        setattr(os, name, wrapped(getattr(os, name)))
