"""Every widget class that has a stand-in, by name."""

from . import ctk_widgets, mrml_node_box, mrml_utils, mrml_widgets

CLASSES = {
    **ctk_widgets.CLASSES,
    **mrml_widgets.CLASSES,
    **mrml_node_box.CLASSES,
    **mrml_utils.CLASSES,
}
