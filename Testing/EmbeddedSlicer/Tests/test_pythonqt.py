"""EmbeddedSlicer's `qt` behaves as PythonQt does in Slicer, not as PySide6 does.

Each test holds one line of what was seen in the real application.
"""

import enum

import pytest

testing = pytest.importorskip("EmbeddedSlicer.testing", exc_type=ImportError)


@pytest.fixture(autouse=True, scope="module")
def application():
    return testing.start()


@pytest.fixture
def qt():
    import qt

    return qt


# -- properties are values -----------------------------------------------------
def test_properties_are_read_as_attributes(qt):
    button = qt.QPushButton("Go")
    button.setObjectName("go")
    button.setCheckable(True)
    assert (button.text, button.checked, button.enabled, button.objectName) == (
        "Go",
        False,
        True,
        "go",
    )
    combo = qt.QComboBox()
    combo.addItem("one")
    combo.addItem("two")
    combo.setCurrentIndex(1)
    assert (combo.currentText, combo.currentIndex, combo.count) == ("two", 1, 2)
    spin = qt.QSpinBox()
    spin.setValue(7)
    assert spin.value == 7
    table = qt.QTableWidget(3, 2)
    assert (table.rowCount, table.columnCount) == (3, 2)
    tabs = qt.QTabWidget()
    tabs.addTab(qt.QLabel("a"), "A")
    assert (tabs.currentIndex, tabs.count) == (0, 1)
    dialog = qt.QProgressDialog()
    dialog.setAutoReset(False)
    assert dialog.wasCanceled is False
    dialog.cancel()
    assert dialog.wasCanceled is True


@pytest.mark.parametrize(
    "make, name",
    [
        ("QPushButton", "text"),
        ("QPushButton", "checked"),
        ("QPushButton", "enabled"),
        ("QPushButton", "objectName"),
        ("QComboBox", "currentText"),
        ("QComboBox", "currentIndex"),
        ("QSpinBox", "value"),
        ("QTableWidget", "rowCount"),
        ("QProgressDialog", "wasCanceled"),
        ("QTabWidget", "currentIndex"),
        ("QWidget", "size"),
        ("QWidget", "visible"),
        ("QLineEdit", "text"),
        ("QCheckBox", "checked"),
        ("QAction", "text"),
        ("QTimer", "interval"),
    ],
)
def test_calling_a_property_fails(qt, make, name):
    widget = getattr(qt, make)()
    with pytest.raises(TypeError, match="not callable"):
        getattr(widget, name)()


def test_property_and_set_property(qt):
    button = qt.QPushButton("Go")
    assert button.property("text") == "Go"
    button.setProperty("text", "Stop")
    assert button.text == "Stop"
    assert button.property("nothing of the kind") is None
    button.setProperty("SlicerParameterName", "sex")
    assert button.property("SlicerParameterName") == "sex"


def test_methods_that_are_no_property_stay_methods(qt):
    import slicer

    top = qt.QWidget()
    button = qt.QPushButton("Go", top)
    assert button.isChecked() is False
    assert button.isEnabled() is True
    assert button.parent() is top
    assert top.children() == (button,)
    box = slicer.qMRMLNodeComboBox()
    assert box.currentNode() is None
    assert box.nodeCount() == 0
    assert qt.QCheckBox().checkState() == qt.Qt.Unchecked
    for method in (button.isChecked, button.parent, top.children, box.currentNode, box.nodeCount):
        assert method  # a truthy object, never an error


# -- setting -------------------------------------------------------------------
def test_setters_are_methods(qt):
    button = qt.QPushButton()
    button.setText("Go")
    button.setEnabled(False)
    spin = qt.QSpinBox()
    spin.setValue(3)
    assert (button.text, button.enabled, spin.value) == ("Go", False, 3)


def test_properties_can_be_assigned(qt):
    button = qt.QPushButton()
    button.text = "Go"
    button.enabled = False
    button.name = "go"  # PythonQt's short name of objectName
    assert (button.text, button.enabled, button.objectName) == ("Go", False, "go")


def test_unknown_attributes_raise(qt):
    button = qt.QPushButton()
    with pytest.raises(AttributeError, match="nonsense"):
        button.nonsense = 1
    with pytest.raises(AttributeError, match="nonsense"):
        button.nonsense  # noqa: B018
    with pytest.raises(AttributeError, match="can not be overwritten"):
        button.click = None
    with pytest.raises(AttributeError, match="can not be overwritten"):
        button.clicked = None
    with pytest.raises(AttributeError, match="not writable"):
        qt.QComboBox().count = 3
    with pytest.raises(AttributeError, match="does not accept"):
        qt.QSpinBox().value = "three"


def test_a_python_subclass_may_have_its_own_attributes(qt):
    class Mine(qt.QWidget):
        def __init__(self, parent=None):
            super().__init__(parent)
            self.mine = 1

        def more(self):
            return self.mine + 1

    widget = Mine()
    widget.other = 2
    assert (widget.mine, widget.other, widget.more()) == (1, 2, 2)
    widget.enabled = False
    assert not widget.isEnabled()
    assert isinstance(widget, qt.QWidget)


def test_a_python_subclass_overrides_what_qt_calls(qt):
    seen = []

    class Mine(qt.QDialog):
        def resizeEvent(self, event):
            seen.append((event.size().width(), event.size().height()))
            qt.QDialog.resizeEvent(self, event)

    widget = Mine()
    widget.resize(200, 100)
    widget.show()
    testing.process()
    assert (200, 100) in seen
    widget.hide()


def test_qtablewidgetitem_has_methods(qt):
    table = qt.QTableWidget(1, 1)
    item = qt.QTableWidgetItem("L1")
    table.setItem(0, 0, item)
    assert item.text() == "L1"
    assert table.item(0, 0).text() == "L1"
    assert table.item(0, 0) == item
    item.setText("L2")
    item.setFlags(item.flags() & ~qt.Qt.ItemIsEditable)
    assert table.item(0, 0).text() == "L2"
    assert not item.flags() & qt.Qt.ItemIsEditable
    with pytest.raises(AttributeError):
        item.text = "L3"


# -- signals -------------------------------------------------------------------
def test_clicked_trims_arguments(qt):
    button = qt.QPushButton()
    button.setCheckable(True)
    seen = []

    class Receiver:
        def none(self):
            seen.append("none")

        def one(self, x):
            seen.append(x)

    button.clicked.connect(lambda: seen.append("f()"))
    button.clicked.connect(lambda x=None: seen.append(("f(x=None)", x)))
    button.clicked.connect(lambda *args: seen.append(("f(*args)", args)))
    button.clicked.connect(Receiver().none)
    button.clicked.connect(Receiver().one)
    button.click()
    assert seen == ["f()", ("f(x=None)", True), ("f(*args)", (True,)), "none", True]


def test_connect_by_signature(qt, capfd):
    button = qt.QPushButton()
    button.setCheckable(True)
    seen = []
    assert button.connect("clicked(bool)", seen.append) is True
    assert button.connect("clicked()", lambda *args: seen.append(args)) is True
    button.click()
    assert seen == [True, ()]
    assert button.connect("clicked(QString)", seen.append) is False
    assert button.connect("nothing()", seen.append) is False
    assert "does not exist" in capfd.readouterr().err


def test_disconnect(qt):
    button = qt.QPushButton()
    seen = []

    def slot():
        seen.append(1)

    button.clicked.connect(slot)
    assert button.clicked.disconnect(slot) is True
    assert button.clicked.disconnect(slot) is False
    button.connect("clicked()", slot)
    assert button.disconnect("clicked()", slot) is True
    button.click()
    assert seen == []


def test_an_exception_in_a_slot_is_printed_and_swallowed(qt, capfd):
    from EmbeddedSlicer.pythonqt import slot_errors

    button = qt.QPushButton()
    seen = []

    def bad():
        raise ValueError("the slot failed")

    button.clicked.connect(bad)
    button.clicked.connect(lambda: seen.append("next"))
    button.click()
    assert seen == ["next"]
    assert "ValueError: the slot failed" in capfd.readouterr().err
    assert isinstance(slot_errors.pop(), ValueError)


def test_too_many_arguments_for_the_signal_is_an_error_in_the_slot(qt, capfd):
    from EmbeddedSlicer.pythonqt import slot_errors

    button = qt.QPushButton()
    button.clicked.connect(lambda a, b: None)
    button.click()
    assert isinstance(slot_errors.pop(), TypeError)


def test_overloaded_current_index_changed_passes_the_int(qt):
    combo = qt.QComboBox()
    combo.addItems(["one", "two"])
    seen = []
    combo.currentIndexChanged.connect(seen.append)
    combo.connect("currentIndexChanged(int)", seen.append)
    combo.setCurrentIndex(1)
    assert seen == [1, 1]


def test_signals_can_be_emitted_and_block(qt):
    spin = qt.QSpinBox()
    seen = []
    spin.valueChanged.connect(seen.append)
    spin.blockSignals(True)
    spin.setValue(4)
    spin.blockSignals(False)
    spin.setValue(5)
    spin.valueChanged.emit(9)
    spin.valueChanged(8)
    assert seen == [5, 9, 8]


# -- values --------------------------------------------------------------------
def test_enums_are_ints(qt):
    assert isinstance(qt.Qt.Checked, int)
    assert qt.Qt.Checked == 2
    assert qt.QMessageBox.Ok == 0x400
    assert int(qt.Qt.AlignLeft | qt.Qt.AlignTop) == 0x21
    assert not isinstance(qt.Qt.Checked, enum.Enum)
    box = qt.QCheckBox()
    box.setCheckState(2)
    assert box.checkState() == qt.Qt.Checked == 2
    label = qt.QLabel()
    label.setAlignment(qt.Qt.AlignRight | qt.Qt.AlignVCenter)
    assert label.alignment == qt.Qt.AlignRight | qt.Qt.AlignVCenter
    label.setAlignment(0x84)
    assert label.alignment == 0x84
    label.alignment = qt.Qt.AlignCenter
    assert label.alignment == qt.Qt.AlignCenter
    assert qt.Qt.CheckState(2) == qt.Qt.Checked


def test_isinstance_and_inherits(qt):
    button = qt.QPushButton()
    assert not isinstance(button, qt.QWidget)
    assert isinstance(button, qt.QPushButton)
    assert button.inherits("QWidget") and button.inherits("QAbstractButton")
    assert not button.inherits("QLabel")
    assert button.className() == "QPushButton"


def test_lists_come_back_as_tuples(qt):
    top = qt.QWidget()
    labels = [qt.QLabel("a", top), qt.QLabel("b", top)]
    assert top.children() == tuple(labels)
    assert top.findChildren(qt.QLabel) == tuple(labels)
    box = qt.QWidget(top)
    inner = qt.QLabel("c", box)
    inner.setObjectName("inner")
    assert top.findChild(qt.QLabel, "inner") is inner
    assert top.findChildren(qt.QLabel, "inner") == ()  # until PythonQt 4.1
    box.setObjectName("inner")
    assert top.findChildren(qt.QLabel, "inner") == (inner,)
    assert isinstance(qt.QStandardPaths.standardLocations(qt.QStandardPaths.HomeLocation), tuple)
    splitter = qt.QSplitter()
    assert isinstance(splitter.sizes(), tuple)


def test_the_same_object_is_the_same_in_python(qt):
    top = qt.QWidget()
    layout = qt.QVBoxLayout(top)
    button = qt.QPushButton("b")
    layout.addWidget(button)
    assert top.layout() is layout
    assert layout.itemAt(0).widget() is button
    assert button.parent() == top


# -- dialogs, timers -----------------------------------------------------------
def test_file_dialogs_return_one_str(qt):
    with testing.answering("/tmp/a.csv", "/tmp/b.csv", "", ["/x", "/y"]) as shown:
        assert qt.QFileDialog.getOpenFileName(None, "Open", "", "Tables (*.csv)") == "/tmp/a.csv"
        assert qt.QFileDialog.getSaveFileName(None, "Save") == "/tmp/b.csv"
        assert qt.QFileDialog.getSaveFileName(None, "Save") == ""
        assert qt.QFileDialog.getOpenFileNames(None, "Open") == ("/x", "/y")
    assert [item.text for item in shown] == ["Open", "Save", "Save", "Open"]


def test_a_file_dialog_remembers_the_last_folder(qt, tmp_path):
    with testing.answering(str(tmp_path / "a.csv"), "", "") as shown:
        qt.QFileDialog.getSaveFileName(None, "Save")
        qt.QFileDialog.getOpenFileName(None, "Open", "", "Tables (*.csv)")
        qt.QFileDialog.getOpenFileName(None, "Open", "/etc/hosts")
    assert [item.folder for item in shown[1:]] == [str(tmp_path), "/etc"]


def test_a_dialog_nobody_answers_raises(qt):
    from EmbeddedSlicer.dialogs import NobodyAnswers

    with pytest.raises(NobodyAnswers, match="Save"):
        qt.QFileDialog.getSaveFileName(None, "Save")
    box = qt.QMessageBox()
    box.setText("Sure?")
    with pytest.raises(NobodyAnswers, match="Sure"):
        box.exec_()
    with pytest.raises(AssertionError, match="No dialog asked"), testing.answering("Ok"):
        pass


def test_single_shot(qt):
    seen = []
    qt.QTimer.singleShot(0, lambda: seen.append(1))
    testing.wait_until(lambda: seen, 5)


def test_exec_and_exec_underscore(qt):
    for name in ("exec_", "exec"):
        dialog = qt.QDialog()
        qt.QTimer.singleShot(0, dialog.accept)
        assert getattr(dialog, name)() == 1
        box = qt.QMessageBox()
        box.setStandardButtons(qt.QMessageBox.Ok | qt.QMessageBox.Cancel)
        with testing.answering("Cancel"):
            assert getattr(box, name)() == qt.QMessageBox.Cancel


# -- children ------------------------------------------------------------------
def test_find_child(qt):
    import slicer

    top = qt.QWidget()
    inner = qt.QWidget(top)
    button = qt.QPushButton("b", inner)
    button.setObjectName("n")
    assert top.findChild(qt.QPushButton, "n") is button
    assert top.findChild("QPushButton", "n") is button
    assert top.findChild("n") is None
    assert top.findChild(qt.QLabel, "n") is None
    assert slicer.util.findChild(top, "n") is button
    with pytest.raises(RuntimeError, match="does not exist"):
        slicer.util.findChild(top, "absent")


def test_child_widget_variables(qt):
    import slicer

    top = qt.QWidget()
    button = qt.QPushButton("b", top)
    button.setObjectName("goButton")
    ui = slicer.util.childWidgetVariables(top)
    assert ui.goButton is button
    assert not hasattr(ui, "absent")


# -- what is and is not there --------------------------------------------------
@pytest.mark.parametrize(
    "name",
    [
        "QShortcut",
        "QUndoStack",
        "QTextDocument",
        "QPainter",
        "QPdfWriter",
        "QPrinter",
        "QImage",
        "QSettings",
    ],
)
def test_qt_has(qt, name):
    assert getattr(qt, name)


@pytest.mark.parametrize(
    "name", ["QTest", "QRegExp", "QTextCodec", "QDesktopWidget", "Signal", "QVersionNumber"]
)
def test_qt_has_not(qt, name):
    with pytest.raises(AttributeError):
        getattr(qt, name)


def test_ctk_has_what_is_made_and_no_more(qt):
    import ctk

    assert ctk.ctkCollapsibleButton("Section").text == "Section"
    with pytest.raises(AttributeError, match="no stand-in"):
        ctk.ctkVTKRenderView  # noqa: B018


def test_a_destroyed_object_says_so(qt):
    button = qt.QPushButton()
    button.delete()
    assert not button
    with pytest.raises(ValueError, match="destroyed"):
        button.text  # noqa: B018


def test_a_meta_object_that_was_deleted_is_replaced_by_the_class_s_own():
    from EmbeddedSlicer.pythonqt.meta import meta_of
    from PySide6 import QtWidgets

    class Deleted:
        def methodCount(self):
            raise RuntimeError("Internal C++ object already deleted.")

    class Button(QtWidgets.QPushButton):
        def metaObject(self):
            return Deleted()

    assert meta_of(Button()).indexOfMethod("click()") >= 0
    assert meta_of(QtWidgets.QPushButton()).className() == "QPushButton"
