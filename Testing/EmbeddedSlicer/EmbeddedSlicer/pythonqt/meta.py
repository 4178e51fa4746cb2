"""What Qt knows of an object's class."""


def meta_of(instance):
    """The QMetaObject of a QObject.

    PySide6 now and then hands out the wrapper of a meta object that was deleted and lay at the
    same address; the class's own is never deleted and says the same.
    """
    meta = instance.metaObject()
    try:
        meta.methodCount()
    except RuntimeError:
        return type(instance).staticMetaObject
    return meta
