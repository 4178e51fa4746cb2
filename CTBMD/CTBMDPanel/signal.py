"""A plain-Python signal: a list of callables."""


class Signal:
    """Calls every connected function; the same in PythonQt and in PySide6."""

    def __init__(self):
        self._slots = []

    def connect(self, slot):
        """Call `slot` at every emit, once however often it is connected."""
        if slot not in self._slots:
            self._slots.append(slot)

    def disconnect(self, slot):
        """Call `slot` no more."""
        if slot in self._slots:
            self._slots.remove(slot)

    def disconnectAll(self):
        """Call nothing any more."""
        self._slots.clear()

    def emit(self, *arguments):
        """Call every connected function."""
        for slot in list(self._slots):
            slot(*arguments)
