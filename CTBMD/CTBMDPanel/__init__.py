"""Parts of the CTBMD panel: Qt and MRML are allowed here, rules of measurement are not.

Importing this package makes `CTBMDLib` importable. Installed, the library lies
beside the module and nothing needs to be done. In a source tree only `CTBMD/`
is on `sys.path`; the library is then loaded from its folder alone, so that the
other folders of the repository do not become importable inside Slicer.
"""

import importlib.util
import sys
from pathlib import Path


def _loadLibrary():
    name = "CTBMDLib"
    if name in sys.modules or importlib.util.find_spec(name) is not None:
        return
    folder = Path(__file__).resolve().parents[2] / name
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise


_loadLibrary()
