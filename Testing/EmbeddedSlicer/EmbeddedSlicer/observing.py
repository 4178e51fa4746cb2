"""VTK observers of Qt objects: they end with the object."""

from __future__ import annotations

import weakref

import shiboken6


def observe(subject, event, method):
    """Call a method of a Qt object at an event of a VTK object.

    The observer does not keep the Qt object alive, and removes itself when that
    has been destroyed.

    Returns
    -------
    callable
        Removes the observer.
    """
    call = weakref.WeakMethod(method)
    tag = None

    def callback(caller, name):
        function = call()
        if function is None or not shiboken6.isValid(function.__self__):
            caller.RemoveObserver(tag)
            return
        function(caller, name)

    tag = subject.AddObserver(event, callback)
    return lambda: subject.RemoveObserver(tag)
