"""PyTorch: whether it is there, and its installation when a person asks for it.

The network needs no PyTorch; NumPy gives the same values. PyTorch makes use of
a GPU possible.
"""

import importlib.metadata
import importlib.util

import slicer
from slicer.i18n import tr as _

from CTBMDLib.errors import CTBMDError
from CTBMDLib.model.bundle import runs_on


def version():
    """Version of the installed PyTorch without importing it, or None."""
    try:
        if importlib.util.find_spec("torch") is None:
            return None
        return importlib.metadata.version("torch")
    except (ImportError, ValueError, importlib.metadata.PackageNotFoundError):
        return None


def status():
    """One sentence about PyTorch for the panel."""
    found = version()
    if found:
        return _("PyTorch {version} is installed; it is needed for a GPU only.").format(
            version=found
        )
    return _("PyTorch is not installed and not needed: the same network runs without it.")


def runsOn(device):
    """What the network runs on, in one line.

    Parameters
    ----------
    device : {'auto', 'cpu', 'cuda', 'mps'}
    """
    try:
        found = runs_on(device, load=False)
    except CTBMDError as error:
        return _("Runs on: nothing yet. {why}").format(why=error)
    if found is None:
        return _("Runs on: PyTorch, loaded by the first estimate, which says on what.")
    return _("Runs on: {device}").format(device=found)


def install():
    """Install PyTorch through the PyTorch extension, after asking.

    Returns
    -------
    bool
        False where the user declined.

    Raises
    ------
    CTBMDError
        Where the extension is missing or the installation failed.
    """
    if slicer.app.testingEnabled():
        raise CTBMDError(_("Nothing is installed while Slicer runs its tests."), "testing")
    try:
        import PyTorchUtils
    except ImportError:
        raise CTBMDError(
            _(
                "The PyTorch extension is not installed; get it from the Extensions Manager, "
                "restart Slicer and try again."
            ),
            "no-pytorch-extension",
        ) from None
    logic = PyTorchUtils.PyTorchUtilsLogic()
    try:
        if logic.torchInstalled():
            return True
    except Exception:  # a broken installation raises TypeError and others; then install again
        pass
    try:
        torch = logic.installTorch(askConfirmation=True, torchVersionRequirement=">=2.0")
    except Exception as error:
        raise CTBMDError(
            _("PyTorch could not be installed ({why}); the network runs without it.").format(
                why=error
            ),
            "pytorch-failed",
        ) from None
    return torch is not None
