"""PySide6 objects that behave the way PythonQt shows them to Slicer's Python.

PySide6 and PythonQt wrap the same Qt, with other rules. Here one rule makes
the difference, the one PythonQt itself follows: an attribute of an object is
looked up in its QMetaObject. What is a property there is a value, read and
written as an attribute, and so cannot be called; a signal has `connect`; the
rest are methods. Unknown names raise AttributeError, also when they are set.

`wrap` and `unwrap` go between the two worlds; `qt_class` gives the PythonQt
face of a PySide6 class. Behaviour after the sources of PythonQt 3 (MeVisLab).
"""

from .classes import qt_class
from .slots import keep_printed_errors, run_slot, slot_errors
from .values import unwrap, wrap

__all__ = ["keep_printed_errors", "qt_class", "run_slot", "slot_errors", "unwrap", "wrap"]
