"""Section 5 of the panel: all CTs of the scene, or the cases of a folder, in one run."""

import collections
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from CTBMDLib.cohort.batch import run_batch
from CTBMDLib.errors import CTBMDError
from CTBMDLib.levels import MEASURED, LevelSelection
from CTBMDLib.report.case import identified

from . import cases, exporting, segmentations, sentences, series, studytable, volumes
from .severalview import SeveralView
from .switches import Switches, underWay
from .words import setText


class SeveralActions:
    """What happens on 'All CTs of the scene', 'A folder...' and 'Add all to the table'.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic
    runner : Runner
    results : ResultActions
        Shows a result of the CT that is chosen, and knows whether identity may be told.

    Attributes
    ----------
    rows : list of series.Row
    """

    def __init__(self, ui, state, logic, runner, results):
        self.ui, self.state, self.logic, self.runner = ui, state, logic, runner
        self._take, self._exports = results.keep, results.exports
        self._switch = Switches()
        self._texts = {name: getattr(ui, name).text for name in ("sceneButton", "folderButton")}
        self.view = SeveralView(ui.severalTable, ui.failuresLabel)
        self.rows, self._number, self._told = [], 0, collections.deque()
        self._folder = Path()
        ui.severalProgressBar.setVisible(False)
        setText(ui.severalStatusLabel, "")
        ui.sceneButton.clicked.connect(self.onScene)
        ui.folderButton.clicked.connect(self.onFolder)
        ui.severalAddButton.clicked.connect(self.onAddAll)
        ui.severalTable.cellClicked.connect(self.onRow)
        state.changed.connect(self.update)
        state.sceneReplaced.connect(self.forget)
        runner.changed.connect(self.update)

    def forget(self):
        """Another scene: its CTs were never run."""
        self.rows = []
        setText(self.ui.severalStatusLabel, "")
        self.view.show(self.rows)

    def update(self):
        """What can be pressed, and what it is called."""
        ui, runner = self.ui, self.runner
        closing = "" if self.state.parameterNode is not None else _("The scene is being closed.")
        for name in self._texts:
            button = getattr(ui, name)
            mine = runner.busy and button is runner.button
            button.setText(_("Cancel") if mine else self._texts[name])
            self._switch(button, closing or (underWay() if runner.busy and not mine else ""))
        done = any(row.result is not None and row.node is not None for row in self.rows)
        nothing = _("No CT of the scene has been estimated in one run yet.")
        self._switch(ui.severalAddButton, underWay() if runner.busy else ("" if done else nothing))

    # -- the CTs of the scene ---------------------------------------------------------
    def onScene(self):
        """Begin with the first CT of the scene, or cancel the run."""
        if self.runner.cancelledBy(self.ui.sceneButton):
            return
        self.rows = [series.Row(node.GetName(), node) for node in volumes.listed()]
        if not self.rows:
            self.state.refused.emit(_("There is no CT in the scene; load one first."))
            return
        self._number = -1
        self._next()

    def _next(self):
        """Begin the work on the next CT that can be worked on."""
        self.view.show(self.rows)
        while self._number + 1 < len(self.rows):
            self._number += 1
            row = self.rows[self._number]
            try:
                with slicer.util.WaitCursor():
                    work, inputs = self._work(row.node)
            except CTBMDError as error:
                row.reason = sentences.of(error)
                continue
            self._start(series.oneOf(work, self._number, len(self.rows), row.name), row, inputs)
            return
        self._ended()

    def _start(self, work, row, inputs):
        def done(answer):
            self._keep(row, *answer, inputs)
            self._next()

        def failed(sentence):
            row.reason = sentences.inPanel(sentence)
            self._next()

        ui = self.ui
        self.runner.start(
            work,
            done,
            ui.sceneButton,
            ui.severalProgressBar,
            ui.severalStatusLabel,
            onFailed=failed,
            onCancelled=self._cancelled,
        )

    def _work(self, node):
        """The work on a CT, and a function that says what it depends on, given its levels."""
        if node.GetScene() is None:
            raise CTBMDError(_("This CT is no longer in the scene."), "no-volume")
        state, facts = self.state, self.state.settingsOf(node)
        options = state.options(node, facts)
        have = state.selectionOf(node)

        def inputs(selection):
            return state.inputsOf(node, selection, facts)

        if any(item.included and item.level in MEASURED for item in have):
            selection = LevelSelection.from_json(have.to_json())
            estimate = self.logic.estimateWork(node, selection, **options)
            return lambda progress, cancel: (selection, estimate(progress, cancel)), inputs
        segmentation = segmentations.remembered(node)
        if node is state.volumeNode:
            segmentation = state.parameterNode.segmentation
        # A level that was counted again is one of levels that are no longer there.
        options["include"], facts["countAgain"] = (), ""
        return self.logic.caseWork(node, segmentation, **options), inputs

    def _keep(self, row, selection, result, inputs):
        """Keep what was found with its CT; the one that is chosen shows it."""
        row.result = result
        if row.node is not self.state.volumeNode:
            self.state.keepResult(row.node, selection, result, inputs(selection))
            return
        if selection != self.state.controller.selection:
            self.state.controller.replace(selection)
        self._take(result, inputs(selection))

    def _ended(self):
        done = sum(row.result is not None for row in self.rows)
        text = _("{n} of {count} CTs are estimated; each keeps its slices and results.")
        setText(self.ui.severalStatusLabel, text.format(n=done, count=len(self.rows)))
        self.view.show(self.rows)
        self.update()

    def _cancelled(self):
        done = sum(row.result is not None for row in self.rows)
        text = _("Cancelled; {n} of {count} CTs are estimated and kept.")
        setText(self.ui.severalStatusLabel, text.format(n=done, count=len(self.rows)))
        self.view.show(self.rows)

    def onRow(self, number, column=None):
        """Show the CT of a row."""
        node = self.rows[number].node if 0 <= number < len(self.rows) else None
        if node is not None and node.GetScene() is not None and not self.runner.busy:
            self.state.parameterNode.inputVolume = node

    def onAddAll(self):
        """Append the results of all CTs of the run to the table."""
        try:
            if not studytable.chosen() and not studytable.choose():
                return
            count = self._addAll(studytable.Decided())
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        text = _("Study table: {added} added, {replaced} replaced, {skipped} left as they were.")
        setText(self.ui.severalStatusLabel, text.format(**count))
        self.state.changed.emit()

    def _addAll(self, decided):
        count = {"added": 0, "replaced": 0, "skipped": 0}
        for row in self.rows:
            if row.result is None or row.node is None or row.node.GetScene() is None:
                continue
            case = self.state.settingsOf(row.node)
            result, typed = row.result, case.get("name", "")
            if self._exports.withIdentity:
                result = identified(result, self.logic.volume(row.node))
            done = studytable.add(result, typed, decided)
            if done is None:
                break
            count[done.did] += 1
            name = studytable.nameToKeep(done, result, typed)
            if row.node is self.state.volumeNode:
                self.state.parameterNode.caseName = name
            else:
                cases.write(row.node, {**case, "name": name})
        return count

    # -- a folder ---------------------------------------------------------------------
    def onFolder(self):
        """Ask for a folder and a table and begin, or cancel the run."""
        if self.runner.cancelledBy(self.ui.folderButton):
            return
        folder = qt.QFileDialog.getExistingDirectory(
            slicer.util.mainWindow(), _("Choose the folder of the cases")
        )
        output = self._askOutput(folder) if folder else None
        if output is None:
            return
        parameters = self.state.parameterNode
        try:
            bundle = self.logic.bundle(parameters.modelFolder)
            reference = self.logic.reference(parameters.referenceTable)
        except CTBMDError as error:
            self.state.refused.emit(sentences.of(error))
            return
        device, dxa = parameters.device.value, parameters.dxa.code
        path, overwrite = output
        withIdentity = self._exports.withIdentity

        def work(progress, should_cancel):
            return run_batch(
                folder,
                path,
                bundle,
                overwrite=overwrite,
                with_identity=withIdentity,
                reference=reference,
                dxa=dxa,
                device=device,
                progress=progress,
                should_cancel=should_cancel,
                # Called in the other thread, which may not touch a widget.
                on_case=lambda *news: self._told.append(news),
            )

        self._startFolder(work, folder)

    def _startFolder(self, work, folder):
        ui = self.ui
        self.rows, self._folder = [], Path(folder)
        self._told.clear()
        self.view.show(self.rows)
        self.runner.start(
            work,
            self._folderDone,
            ui.folderButton,
            ui.severalProgressBar,
            ui.severalStatusLabel,
            onFailed=self._folderFailed,
            onCancelled=self._folderCancelled,
            onProgress=self._folderNews,
        )

    def _askOutput(self, folder):
        """(path, whether it may be replaced) of the table, or None."""
        beside = Path(folder).parent / f"{Path(folder).name}_BMD.csv"
        chosen = qt.QFileDialog.getSaveFileName(
            slicer.util.mainWindow(),
            _("Save the table of all cases"),
            str(beside),
            ";;".join(
                (
                    _("Table, comma-separated (*.csv)"),
                    _("Table, tab-separated (*.tsv)"),
                    "JSON (*.json)",
                )
            ),
        )
        if not chosen:
            return None
        path = Path(chosen)
        if not path.suffix:
            return path.with_suffix(".csv"), False
        # Where it is not there the run may go on with what an earlier one has left.
        return path, path.exists()

    def _folderNews(self):
        told = bool(self._told)
        while self._told:  # the other thread may add to it at any moment
            case, result, reason = self._told.popleft()
            why = sentences.inPanel(reason or "")
            self.rows.append(series.Row(self._where(case), None, result, why))
        if told:
            self.view.show(self.rows)

    def _where(self, case):
        """A case of the folder as its table calls it, and where it lies, for the one who looks on."""
        path = Path(case.path)
        if path.is_relative_to(self._folder):
            path = path.relative_to(self._folder)
        return case.title if case.title == str(path) else f"{case.title}: {path}"

    def _folderDone(self, report):
        self._folderNews()
        told = {id(row.result) for row in self.rows}
        # Those that an earlier run had finished come without a word.
        earlier = [x for x in report.results if report.resumed and id(x) not in told]
        self.rows = [*(series.Row(x.rows[0].case, None, x) for x in earlier), *self.rows]
        self.view.show(self.rows)
        exporting.remember(report.output)
        text = _("{n} cases written to '{path}'.").format(n=len(report.results), path=report.output)
        if report.failures:
            text += " " + _("{n} failed, listed in '{path}'.").format(
                n=len(report.failures), path=report.failures_file.name
            )
        if report.identity_file:
            text += " " + _("'{path}' says which case is which; keep it to yourself.").format(
                path=report.identity_file.name
            )
        setText(self.ui.severalStatusLabel, text)

    def _folderFailed(self, sentence):
        self._folderNews()
        self.runner.failed.emit(sentence)

    def _folderCancelled(self):
        self._folderNews()
        text = _("Cancelled; the same folder and table go on where this stopped.")
        setText(self.ui.severalStatusLabel, text)
