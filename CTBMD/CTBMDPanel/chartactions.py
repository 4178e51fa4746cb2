"""The chart's button and the layout's check box."""

from CTBMDLib.errors import CTBMDError

from .chart import Chart, whyNot
from .switches import Switches


class ChartActions:
    """Shows the chart while its button is down, and keeps it as the results are.

    Parameters
    ----------
    ui : object
        The named widgets of CTBMD.ui.
    state : PanelState
    logic : CTBMDLogic
    layout : Layout
    """

    def __init__(self, ui, state, logic, layout):
        self.ui, self.state, self.logic, self.layout = ui, state, logic, layout
        self.chart = Chart()
        self._drawn = None
        self._switch = Switches()
        ui.ownLayoutCheckBox.setChecked(layout.wanted)
        ui.chartButton.toggled.connect(self.onToggled)
        ui.ownLayoutCheckBox.toggled.connect(self.onOwnLayout)
        state.changed.connect(self.update)

    def close(self):
        """Take the chart out of the scene."""
        self.ui.chartButton.setChecked(False)
        self.chart.close()

    def onOwnLayout(self, wanted):
        """Whether CTBMD's own layout is wanted."""
        self.layout.setWanted(wanted)

    def onToggled(self, down):
        """Show the chart or the views without it."""
        self.layout.setChart(down)
        self._drawn = None
        self.update()

    def update(self):
        """Follow the results: draw them, or say why there is nothing to draw."""
        button, result = self.ui.chartButton, self.state.result
        table = self._table()
        reason = whyNot(result, table)
        self._switch(button, reason)
        if reason and button.isChecked():
            button.setChecked(False)
        if button.isChecked() and self._drawn is not result:
            self.chart.show(result, table)
            self._drawn = result

    def _table(self):
        parameters = self.state.parameterNode
        if parameters is None or not parameters.referenceTable:
            return None
        try:
            return self.logic.reference(parameters.referenceTable)
        except CTBMDError:
            return None
