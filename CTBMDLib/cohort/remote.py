"""Studies of an archive on the network: DICOMweb by dicomweb-client, a PACS by pynetdicom.

A study is fetched by whoever estimates it, into a folder for its user alone that
goes with the estimate. Both packages are optional. For a name and password,
dicomweb-client takes those of the user's own `.netrc`.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from ..errors import CTBMDError
from ..progress import Progress
from ..reading.temporary import temporary_folder

DICOMWEB, PACS = "dicomweb:", "pacs:"
OWN_TITLE = "CTBMD"
"""What this program is called by a PACS that is not told otherwise ('pacs://...?me=TITLE')."""
SECONDS = 30.0
"""How long an archive is waited for."""
_PAGE = 500
_STUDY, _SERIES = "0020000D", "0020000E"
_UID = re.compile(r"[0-9.]{1,64}")


def is_remote(path: str) -> bool:
    """Whether a path names an archive on the network or a study in it."""
    return path.startswith((DICOMWEB, PACS))


def studies_at(source: str) -> list[str]:
    """The studies with CT of an archive, each as a path that `local_copy` takes.

    Parameters
    ----------
    source : str
        'dicomweb:https://host/dicom-web' or 'pacs://TITLE@host:port'.

    Raises
    ------
    CTBMDError
        Where a package is missing or the archive does not answer.
    """
    uids = _web_studies(source) if source.startswith(DICOMWEB) else _pacs_studies(source)
    return [f"{source}#{uid}" for uid in dict.fromkeys(uids)]


@contextmanager
def local_copy(path: str, progress: Progress) -> Iterator[str]:
    """The CT series of a study in a folder of this computer; another path stays as it is.

    Raises
    ------
    CTBMDError
    Cancelled
    """
    if not is_remote(path):
        yield path
        return
    source, _, study = path.partition("#")
    if not _UID.fullmatch(study):
        raise CTBMDError(
            f"'{path}' names no study of the archive; end it with # and a study UID.",
            "remote-study",
        )
    with temporary_folder() as folder:
        fetch = _web_fetch if source.startswith(DICOMWEB) else _pacs_fetch
        count = 0
        for count, content in enumerate(fetch(source, study), start=1):  # noqa: B007
            progress.check()
            (folder / f"{count:06d}.dcm").write_bytes(content)
        if not count:
            raise CTBMDError(f"The archive gave no CT image of the study {study}.", "remote-empty")
        yield str(folder)


def _package(name: str, pip: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise CTBMDError(
            f"To read from an archive, {pip} is needed, which is not installed; install it by: "
            f"pip install {pip}.",
            "no-remote-package",
        )
    return importlib.import_module(name)


def _unreachable(source: str, why: object) -> CTBMDError:
    told = " ".join(str(why).split())[:200]
    return CTBMDError(
        f"The archive {source} does not answer as it should ({told}); check its address and that "
        "it lets this computer in.",
        "remote-unreachable",
    )


# -- DICOMweb ------------------------------------------------------------------
def _web(source: str) -> Any:
    api = _package("dicomweb_client", "dicomweb-client").api
    client = api.DICOMwebClient(source.removeprefix(DICOMWEB))
    client.set_http_retry_params(retry=False)
    return client


def _web_studies(source: str) -> list[str]:
    client = _web(source)
    found: list[str] = []
    try:
        while True:
            page = client.search_for_studies(
                search_filters={"ModalitiesInStudy": "CT"}, limit=_PAGE, offset=len(found)
            )
            found += [item[_STUDY]["Value"][0] for item in page]
            if len(page) < _PAGE:
                return found
    except CTBMDError:
        raise
    except Exception as error:  # of requests, of the server's JSON
        raise _unreachable(source, error) from None


def _web_fetch(source: str, study: str) -> Iterator[bytes]:
    from io import BytesIO

    client = _web(source)
    try:
        for item in client.search_for_series(study, search_filters={"Modality": "CT"}):
            for image in client.iter_series(study, item[_SERIES]["Value"][0]):
                out = BytesIO()
                image.save_as(out)
                yield out.getvalue()
    except Exception as error:
        raise _unreachable(source, error) from None


# -- PACS ----------------------------------------------------------------------
def _pacs_studies(source: str) -> list[str]:
    query = {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "", "ModalitiesInStudy": "CT"}
    return [str(item.StudyInstanceUID) for item in _find(source, query)]


def _pacs_fetch(source: str, study: str) -> Iterator[bytes]:
    query = {
        "QueryRetrieveLevel": "SERIES",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": "",
        "Modality": "CT",
    }
    for item in _find(source, query):
        wanted = {
            "QueryRetrieveLevel": "SERIES",
            "StudyInstanceUID": study,
            "SeriesInstanceUID": str(item.SeriesInstanceUID),
        }
        yield from _get(source, wanted)


def _dataset(values: dict[str, str]) -> Any:
    import pydicom

    dataset = pydicom.Dataset()
    for name, value in values.items():
        setattr(dataset, name, value)
    return dataset


@contextmanager
def _association(source: str, contexts: list[str], **more: Any) -> Iterator[Any]:
    net = _package("pynetdicom", "pynetdicom")
    address = urlsplit(source)
    try:
        title, host, port = address.username, address.hostname, address.port
    except ValueError:
        title = host = port = None
    if not (title and host and port):
        raise CTBMDError(
            f"'{source}' is no address of a PACS; write it as pacs://TITLE@host:port.",
            "remote-address",
        )
    entity = net.AE(parse_qs(address.query).get("me", [OWN_TITLE])[0])
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = SECONDS
    entity.connection_timeout = SECONDS
    for context in contexts:
        entity.add_requested_context(context)
    link = entity.associate(host, port, ae_title=title, **more)
    if not link.is_established:
        raise _unreachable(source, "no association")
    try:
        yield link
    finally:
        link.release()


def _find(source: str, query: dict[str, str]) -> list[Any]:
    net = _package("pynetdicom", "pynetdicom")
    model = net.sop_class.StudyRootQueryRetrieveInformationModelFind
    found = []
    with _association(source, [model]) as link:
        for status, item in link.send_c_find(_dataset(query), model):
            if item is not None:
                found.append(item)
            elif not status or status.Status != 0x0000:
                raise _unreachable(source, _status(status))
    return found


def _get(source: str, wanted: dict[str, str]) -> list[bytes]:
    """The images of a series, one association for all."""
    net = _package("pynetdicom", "pynetdicom")
    model = net.sop_class.StudyRootQueryRetrieveInformationModelGet
    kinds = [net.sop_class.CTImageStorage, net.sop_class.EnhancedCTImageStorage]
    images: list[bytes] = []

    def keep(event: Any) -> int:
        images.append(event.encoded_dataset())
        return 0x0000

    roles = [net.build_role(kind, scp_role=True) for kind in kinds]
    handlers = [(net.evt.EVT_C_STORE, keep)]
    with _association(source, [model, *kinds], ext_neg=roles, evt_handlers=handlers) as link:
        for status, _ in link.send_c_get(_dataset(wanted), model):
            if not status or status.Status not in (0x0000, 0xFF00):
                raise _unreachable(source, _status(status))
    return images


def _status(status: Any) -> str:
    return f"status {status.Status:#06x}" if status else "the connection was cut"
