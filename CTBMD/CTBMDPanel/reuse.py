"""A model bundle that answers once for each image: after an edit only what changed is computed."""

import hashlib

import numpy as np

MOST = 5000
"""Images whose answers are kept; a patient has some dozen."""


class ReusedBundle:
    """A ModelBundle with a memory.

    Parameters
    ----------
    bundle : ModelBundle

    Attributes
    ----------
    computed : int
        Images that the network itself has looked at so far.
    """

    def __init__(self, bundle):
        self._bundle = bundle
        self._known = {}
        self.computed = 0

    def __getattr__(self, name):
        return getattr(self._bundle, name)

    def predict(self, images_hu, device="auto", backend=None, *, kvp=None):
        """As `ModelBundle.predict`; images of before are not computed again."""
        hu = np.asarray(images_hu, dtype=np.float32)
        voltages = np.full(len(hu), np.nan if kvp is None else kvp, dtype=float)
        keys = [
            (hashlib.sha256(image.tobytes()).digest(), str(voltage), device, backend)
            for image, voltage in zip(hu, voltages, strict=True)
        ]
        new = [index for index, key in enumerate(keys) if key not in self._known]
        new = list({keys[index]: index for index in new}.values())  # one of each
        if new or not keys:
            values = self._bundle.predict(hu[new], device, backend, kvp=voltages[new])
            self.computed += len(new)
            if len(self._known) + len(new) > MOST:
                self._known = {key: self._known[key] for key in keys if key in self._known}
            self._known.update((keys[i], values[:, n]) for n, i in enumerate(new))
        return np.stack([self._known[key] for key in keys], axis=1)
