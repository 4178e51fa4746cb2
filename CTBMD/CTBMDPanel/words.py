"""Labels that come and go."""


def setText(label, text):
    """Text of a label that takes no room while it is empty."""
    if label.text != text:
        label.setText(text)
    label.setVisible(bool(text))
