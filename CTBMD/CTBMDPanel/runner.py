"""One piece of long work at a time: its button turns into Cancel, its bar moves."""

from slicer.i18n import tr as _

from .job import Job
from .signal import Signal
from .words import setText

STEPS = 1000
"""Maximum of the progress bars in CTBMD.ui."""


class Runner:
    """Runs jobs for the panel.

    Signals
    -------
    changed() : work has begun or ended.
    failed(sentence) : the work could not be done.
    """

    def __init__(self):
        self.changed = Signal()
        self.failed = Signal()
        self.button = None
        self._bar = self._label = None
        self._job = None
        self._others = {}

    @property
    def busy(self):
        """Whether work is under way."""
        return self._job is not None

    def start(self, work, onDone, button, bar, label, **others):
        """Run `work(progress, should_cancel)`; its value goes to `onDone`.

        Does nothing while other work is under way.

        Parameters
        ----------
        **others
            `onFailed(sentence)`, `onCancelled()` and `onProgress()`: called instead of
            `failed`, after the word on cancelling, and at each step.
        """
        if self.busy:
            return
        self._others = others
        self.button, self._bar, self._label = button, bar, label
        setText(label, "")
        bar.setValue(0)
        bar.setVisible(True)
        self._job = Job(
            work,
            lambda value: self._end(lambda: onDone(value)),
            lambda sentence, unexpected: self._end(lambda: self._fail(sentence, unexpected)),
            lambda: self._end(self._sayCancelled),
            self._onProgress,
        )
        self.changed.emit()
        self._job.start()

    def cancelledBy(self, button):
        """Whether a click on `button` was about running work; its own button cancels it."""
        if self._job is None:
            return False
        if button is self.button:
            self._job.cancel()
            button.setEnabled(False)
            setText(self._label, _("Cancelling..."))
        return True

    def abandon(self):
        """Stop without a word, for a scene or module that is being closed."""
        if self._job is not None:
            self._job.abandon()
            self._end(lambda: None)

    def _end(self, then):
        self._job = self.button = None
        setText(self._label, "")
        self._bar.setVisible(False)
        then()
        self.changed.emit()

    def _fail(self, sentence, unexpected):
        if unexpected:
            sentence = _("This did not work ({why}); see the error log for details.").format(
                why=sentence
            )
        self._others.get("onFailed", self.failed.emit)(sentence)

    def _sayCancelled(self):
        setText(self._label, _("Cancelled; nothing was changed."))
        self._others.get("onCancelled", _nothing)()

    def _onProgress(self, fraction, text):
        self._others.get("onProgress", _nothing)()
        self._bar.setValue(round(STEPS * fraction))
        if not self._job.cancelling:
            setText(self._label, text)


def _nothing():
    """What is done where nobody has asked for anything."""
