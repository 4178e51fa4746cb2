"""The shell's door to the library: ctbmd estimate | levels | batch | validate | model."""

from __future__ import annotations

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from . import __version__
from .cohort.command import add_options as add_batch_options
from .disclaimers import RESEARCH_USE, disclaimer, trained_on
from .dxa import DEVICES, maker
from .errors import Cancelled, CTBMDError

if TYPE_CHECKING:  # numpy and what needs it are imported by the command that is run
    from .bmd.reference import ReferenceTable
    from .bmd.result import BMDResult
    from .model.bundle import ModelBundle
    from .report.case import ReportCase


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line.

    Parameters
    ----------
    argv : list of str or None
        Without the program's name; None takes the shell's.

    Returns
    -------
    int
        0; 2 after one line on stderr for input that cannot be used; 130 when
        interrupted from the keyboard.
    """
    # Before numpy is imported. The sums are small: other threads of OpenBLAS only wait for work,
    # which costs a case a quarter more CPU and a batch with as many workers as cores far more,
    # and another number of threads sums in another order, so that answers differ by some 1e-8.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    screen = _Screen()
    try:
        arguments = _parser().parse_args(argv)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # stderr is for the one line that says why
            arguments.run(arguments, screen)
        sys.stdout.flush()
        return 0
    except CTBMDError as error:
        return screen.fail(str(error))
    except (Cancelled, KeyboardInterrupt) as error:
        screen.fail(str(error) or "cancelled; nothing was written.")
        return 130
    except BrokenPipeError:  # `ctbmd levels ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except MemoryError:
        return screen.fail("the scan does not fit into the memory of this computer.")
    except Exception as error:  # never a traceback: the reader of this is no programmer
        return screen.fail(f"unexpected {type(error).__name__}: {error}; please report it.")


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CTBMDError(f"{message}; see '{self.prog} --help'.", "command-line")


class _Screen:
    """One progress line on a terminal, none elsewhere; messages on a clean line."""

    def __init__(self) -> None:
        self._shown = False
        self._live = sys.stderr is not None and sys.stderr.isatty()

    def progress(self, fraction: float, text: str) -> None:
        if self._live:
            sys.stderr.write(f"\r\x1b[K{round(100 * fraction):3d} % {text}"[:110])
            sys.stderr.flush()
            self._shown = True

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def say(self, text: str = "", stream: TextIO | None = None) -> None:
        self.clear()
        stream = stream or sys.stdout
        try:
            print(text, file=stream)
        except UnicodeEncodeError:  # a console that knows no more than its own alphabet
            encoding = stream.encoding or "ascii"
            print(text.encode(encoding, "replace").decode(encoding), file=stream)

    def fail(self, text: str) -> int:
        self.clear()
        text = " ".join(text.split())
        self.say(f"ctbmd: {text}", sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ctbmd",
        description="Areal bone mineral density from an unenhanced abdominal CT, by a model trained on "
        f"{trained_on('simulated')} unless another is named. {RESEARCH_USE}",
    )
    parser.add_argument("--version", action="version", version=f"ctbmd {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_estimate(commands)
    _add_levels(commands)
    _add_batch(commands)
    _add_validate(commands)
    _add_models(commands)
    return parser


def _add_estimate(commands: Any) -> None:
    estimate = commands.add_parser(
        "estimate", help="bone density of L1-L4 as a table", description="Estimate one CT."
    )
    _add_input(estimate)
    estimate.add_argument("--levels", metavar="FILE", help="levels.json, found and corrected")
    estimate.add_argument(
        "--sex", choices=("F", "M"), type=str.upper, help="where the header is silent or wrong"
    )
    estimate.add_argument("--age", type=_age, metavar="N", help="age in years")
    estimate.add_argument(
        "--kvp",
        type=_kvp,
        metavar="N",
        help="tube voltage in kV, where the header is silent or wrong",
    )
    estimate.add_argument(
        "--include",
        action="append",
        default=[],
        metavar="LEVEL",
        type=str.upper,
        help="count a level that a finding leaves out of the mean, such as L2; may be repeated",
    )
    estimate.add_argument(
        "--correct-values",
        action="store_true",
        help="correct the values by the scan's own air and fat first, where a finding says they are off",
    )
    estimate.add_argument("--case", metavar="NAME", help="what to call the case in the table")
    estimate.add_argument(
        "--append", metavar="table.csv", help="add the rows to the table of a study (.csv or .tsv)"
    )
    estimate.add_argument(
        "--if-there",
        choices=("replace", "skip"),
        help="what to do where that table has the case already (else it is refused)",
    )
    estimate.add_argument(
        "--mixed",
        action="store_true",
        help="let that table have other columns, or rows of another model",
    )
    _add_identity(estimate)
    _add_model(estimate)
    _add_output(estimate, ".csv, .tsv or .json", required=False)
    estimate.add_argument("--report", metavar="out.html", help="a page to read, with pictures")
    estimate.add_argument(
        "--sr", metavar="out.dcm", help="a DICOM structured report (needs highdicom and a DICOM CT)"
    )
    estimate.set_defaults(run=_estimate)


def _add_levels(commands: Any) -> None:
    levels = commands.add_parser(
        "levels",
        help="find the lumbar levels",
        description="Find the lumbar levels, to be corrected by hand and given to 'ctbmd estimate --levels'.",
    )
    _add_input(levels)
    levels.add_argument("--output", metavar="levels.json", help="JSON file; else printed")
    levels.add_argument("--overwrite", action="store_true", help="replace an existing file")
    levels.set_defaults(run=_levels)


def _add_batch(commands: Any) -> None:
    batch = commands.add_parser(
        "batch",
        help="many CTs into one table",
        description="Estimate every CT of a folder of any depth (a study, ZIP, NIfTI or NRRD each), of a DICOMDIR, of an archive (dicomweb:https://..., pacs://TITLE@host:port), or of a CSV, TSV or Excel list with the columns path, case, sex, age, kvp, levels, series_uid, include, person, date (only path is needed; include names levels that count although a finding leaves them out). Beside the table lie a summary page, the list of failures, and the changes of persons with several CTs. Interrupted, the same command, without --overwrite, goes on where it stopped.",
    )
    batch.add_argument("source", metavar="SOURCE")
    _add_identity(batch)
    _add_model(batch)
    _add_output(batch, ".csv, .tsv, .json or .parquet", required=True)
    add_batch_options(batch)
    batch.set_defaults(run=_batch)


def _add_validate(commands: Any) -> None:
    validate = commands.add_parser(
        "validate",
        help="a model beside DXA of the same persons",
        description="Hold a model against the DXA of the same persons, the trabecular HU beside it. The table is a CSV with the columns path and at least one of L1, L2, L3, L4, L1-L4 (g/cm2) and t_score; where known also case, patient, sex, age, kvp, device, interval_days, levels, segmentation, series_uid, include, manufacturer, t_mean, t_sd, left_out. DIR gets report.html, figures.json, pairs.csv and left_out.csv. Interrupted, the same command, without --overwrite, goes on where it stopped.",
    )
    validate.add_argument("table", metavar="TABLE")
    validate.add_argument("--output", metavar="DIR", required=True, help="folder of the results")
    validate.add_argument("--overwrite", action="store_true", help="replace earlier results")
    validate.add_argument(
        "--max-days",
        type=_days,
        metavar="N",
        help="longest time between CT and DXA (365; 0 for any)",
    )
    sets = validate.add_mutually_exclusive_group()
    sets.add_argument(
        "--verse", metavar="FOLDER", help="VerSe's images; TABLE has subject and t_score"
    )
    sets.add_argument(
        "--lumos", metavar="FOLDER", help="LUMOS' CT; TABLE is its clinical table as CSV"
    )
    _add_model(validate)
    validate.set_defaults(run=_validate)


def _add_models(commands: Any) -> None:
    model = commands.add_parser("model", help="show, check or calibrate a model bundle")
    actions = model.add_subparsers(dest="action", required=True, metavar="ACTION")
    show = actions.add_parser("show", help="the card of the bundle")
    show.add_argument("--model", metavar="DIR", help="another bundle than the installed one")
    show.set_defaults(run=_model_show)
    check = actions.add_parser("check", help="whether the bundle is whole and computes")
    check.add_argument("--model", metavar="DIR", help="another bundle than the installed one")
    check.set_defaults(run=_model_check)
    calibrate = actions.add_parser(
        "calibrate", help="fit the bundle to a site's own DXA", description="Site calibration."
    )
    calibrate.add_argument("pairs", metavar="pairs.csv")
    calibrate.add_argument("--output", metavar="DIR", required=True, help="the new bundle")
    calibrate.add_argument("--model", metavar="DIR", help="another bundle than the installed one")
    calibrate.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    _add_dxa(calibrate, "DXA device of the table, where its column dxa_device does not say")
    calibrate.set_defaults(run=_model_calibrate)


def _add_input(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", metavar="INPUT", help="DICOM folder, file or ZIP, NIfTI or NRRD")
    parser.add_argument(
        "--series", metavar="UID", help="series UID or number, where there are several"
    )
    parser.add_argument(
        "--segmentation",
        metavar="FILE",
        help="vertebrae as NIfTI, NRRD or .seg.nrrd give the levels",
    )


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="DIR", help="another bundle than the installed one")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    parser.add_argument(
        "--reference", metavar="NAME_OR_FILE", help="reference table for T-scores (none without it)"
    )
    _add_dxa(parser, "DXA device to compare with (a calibrated model's own, else hologic)")


def _add_dxa(parser: argparse.ArgumentParser, said: str) -> None:
    parser.add_argument("--dxa", choices=tuple(DEVICES), type=str.lower, help=said)


def _add_identity(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--with-identity",
        action="store_true",
        help="let the tables tell patient id or folder, series UID and contrast agent",
    )


def _add_output(parser: argparse.ArgumentParser, kinds: str, required: bool) -> None:
    parser.add_argument("--output", metavar="results.csv", required=required, help=kinds)
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _age(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 130:
        raise argparse.ArgumentTypeError(f"an age of {text} years is not possible")
    return value


_age.__name__ = "age"  # argparse names the type in its message


def _days(text: str) -> float:
    value = float(text)
    if not value >= 0:  # true for NaN as well
        raise argparse.ArgumentTypeError(f"{text} days is no time between CT and DXA")
    return value


_days.__name__ = "days"


def _kvp(text: str) -> float:
    from .bmd.estimate import MAX_GIVEN_KVP, MIN_GIVEN_KVP

    value = float(text)
    if not MIN_GIVEN_KVP <= value <= MAX_GIVEN_KVP:
        raise argparse.ArgumentTypeError(f"a tube voltage of {text} kV is not possible")
    return value


_kvp.__name__ = "kvp"


def _bundle(arguments: argparse.Namespace) -> ModelBundle:
    from .model.bundle import ModelBundle, default_bundle_folder

    return ModelBundle.load(arguments.model or default_bundle_folder())


def _reference(arguments: argparse.Namespace) -> ReferenceTable | None:
    from .bmd.reference import ReferenceTable

    return ReferenceTable.load(arguments.reference) if arguments.reference else None


def _estimate(arguments: argparse.Namespace, screen: _Screen) -> None:
    from .bmd.estimate import estimate
    from .bmd.export import check_output, format_table, write_result
    from .cohort.cases import not_found, open_case
    from .cohort.include import named_levels
    from .cohort.study import append_result, check_table
    from .safefile import check_apart

    if arguments.levels and arguments.segmentation:
        raise CTBMDError(
            "Give the levels by --levels or by --segmentation, not by both.", "command-line"
        )
    check_apart(
        [arguments.output, arguments.append, arguments.report, arguments.sr],
        [arguments.input, arguments.levels, arguments.segmentation],
    )
    if arguments.output:
        check_output(arguments.output, arguments.overwrite)
    if arguments.append:
        check_table(arguments.append)
    _check_reports(arguments)
    bundle, reference = _bundle(arguments), _reference(arguments)
    if arguments.append:
        check_table(
            arguments.append,
            bundle,
            dxa=arguments.dxa,
            mixed=arguments.mixed,
            if_there=arguments.if_there,
        )
    volume, selection = open_case(
        arguments.input,
        levels=arguments.levels,
        segmentation=arguments.segmentation,
        series_uid=arguments.series,
        progress=lambda done, text: screen.progress(0.8 * done, text),
    )
    result = estimate(
        volume,
        selection,
        bundle,
        case=arguments.case,
        sex=arguments.sex,
        age=arguments.age,
        kvp=arguments.kvp,
        with_identity=arguments.with_identity,
        reference=reference,
        dxa=arguments.dxa,
        device=arguments.device,
        include=named_levels(" ".join(arguments.include)),
        correct_values=arguments.correct_values,
        progress=lambda done, text: screen.progress(0.8 + 0.2 * done, text),
    )
    for finding in volume.reading_findings:
        screen.say(finding)
    screen.say(format_table(result).rstrip("\n"))
    missing = not_found(selection)
    if missing:
        screen.say(f"Levels without a value, because they were not found: {', '.join(missing)}.")
    if arguments.output:
        # Last, so that a disk that is full does not take the values from the screen as well.
        write_result(result, arguments.output, arguments.overwrite)
        screen.say(f"Written: {arguments.output}")
    if arguments.append:
        done = append_result(
            result,
            arguments.append,
            case=arguments.case,
            if_there=arguments.if_there,
            mixed=arguments.mixed,
        )
        screen.say(f"{done.case}: {done.did} ({done.path})")
    if arguments.report or arguments.sr:
        from .report.case import ReportCase

        case = ReportCase(
            result, volume, selection, bundle.standard, reference, arguments.with_identity
        )
        _write_reports(case, arguments, screen)


def _check_reports(arguments: argparse.Namespace) -> None:
    if arguments.report:
        from .report.page import check_report

        check_report(arguments.report, arguments.overwrite)
    if arguments.sr:
        from .reading.source import check_source
        from .report.structured import check_structured

        check_structured(arguments.sr, arguments.overwrite)
        check_source(arguments.input)


def _write_reports(case: ReportCase, arguments: argparse.Namespace, screen: _Screen) -> None:
    from dataclasses import replace

    from .reading.source import source_of
    from .report.page import write_report
    from .report.structured import write_structured

    if arguments.sr or arguments.with_identity:
        case = replace(case, source=source_of(arguments.input, case.volume.series_uids))
    if arguments.report:
        write_report(case, arguments.report, arguments.overwrite)
        screen.say(f"Written: {arguments.report}")
    if arguments.sr:
        write_structured(case, arguments.sr, arguments.overwrite)
        screen.say(f"Written: {arguments.sr}")


def _levels(arguments: argparse.Namespace, screen: _Screen) -> None:
    from .cohort.cases import not_found, open_case
    from .safefile import check_writable, write_text

    output = Path(arguments.output) if arguments.output else None
    if output:
        if output.suffix.lower() != ".json":
            raise CTBMDError(f"'{output.name}' must end in .json.", "output-suffix")
        check_writable(output, arguments.overwrite)
    volume, selection = open_case(
        arguments.input,
        segmentation=arguments.segmentation,
        series_uid=arguments.series,
        progress=screen.progress,
    )
    if output:
        write_text(output, selection.to_json(), arguments.overwrite)
    # Without --output the JSON is what stdout is for, and the rest must not get into it.
    stream = sys.stdout if output else sys.stderr
    for finding in volume.reading_findings:
        screen.say(finding, stream)
    if output:
        for item in selection:
            place = ", ".join(f"{x:.1f}" for x in item.ras)
            sure = "" if item.confidence is None else f"  confidence {item.confidence:.2f}"
            screen.say(f"{item.level:<4} R A S {place} mm{sure}", stream)
    missing = not_found(selection)
    if missing:
        screen.say(f"Not found: {', '.join(missing)}.", stream)
    if selection.numbering_uncertain:
        screen.say(
            "The vertebra numbers are uncertain; check the labels before you use them.",
            stream,
        )
    for note in selection.findings:
        screen.say(note, stream)
    if output:
        screen.say(f"Written: {output}")
    else:
        screen.say(selection.to_json().rstrip("\n"))


def _batch(arguments: argparse.Namespace, screen: _Screen) -> None:
    from .cohort.command import run

    run(arguments, screen, _bundle(arguments), _reference(arguments))


def _validate(arguments: argparse.Namespace, screen: _Screen) -> None:
    from .cohort.validate import PAGE, table_of_set, validate
    from .cohort.validate_page import summary_lines
    from .cohort.validate_table import MAX_DAYS, Measured

    def on_case(row: Measured, result: BMDResult | None, reason: str | None) -> None:
        told = reason or ("estimated" if result and result.total else "no L1-L4 value")
        screen.say(f"{row.case.title}: {told}")

    bundle, reference = _bundle(arguments), _reference(arguments)
    days = MAX_DAYS if arguments.max_days is None else arguments.max_days or None
    try:
        report = validate(
            table_of_set(
                arguments.table,
                arguments.output,
                verse=arguments.verse,
                lumos=arguments.lumos,
                overwrite=arguments.overwrite,
                progress=screen.progress,
            ),
            arguments.output,
            bundle,
            overwrite=arguments.overwrite,
            reference=reference,
            dxa=arguments.dxa,
            device=arguments.device,
            max_days=days,
            progress=screen.progress,
            on_case=on_case,
        )
    except KeyboardInterrupt:
        raise Cancelled(
            "cancelled; the same command, without --overwrite, goes on where it stopped."
        ) from None
    if report.resumed:
        screen.say(f"Taken over from an interrupted run: {_count(report.resumed)}.")
    screen.say(f"{_count(len(report.pairs))} compared, {_count(len(report.left))} left out")
    for line in (*report.figures.warnings, *summary_lines(report.figures)):
        screen.say(line)
    screen.say(f"Written: {report.folder / PAGE}")
    screen.say(disclaimer(bundle.population))


def _count(number: int) -> str:
    return "1 case" if number == 1 else f"{number} cases"


def _model_show(arguments: argparse.Namespace, screen: _Screen) -> None:
    from .model.card import card_text

    bundle = _bundle(arguments)
    screen.say(f"folder: {bundle.folder}")
    screen.say(f"DXA scale: {maker(bundle.dxa_device)}")
    screen.say(card_text(bundle.card))
    screen.say(RESEARCH_USE)


def _model_check(arguments: argparse.Namespace, screen: _Screen) -> None:
    import importlib.util

    import numpy as np

    from .cohort.trial import try_out

    bundle = _bundle(arguments)
    rows = try_out(bundle)
    size = bundle.standard.size_px
    # A smooth image with bone in its middle; the figure means nothing.
    y, x = np.mgrid[:size, :size] / (size - 1) - 0.5
    image = (40 + 300 * np.exp(-(x**2 + y**2) / 0.02)).astype(np.float32)[None]
    plain = bundle.predict(image, "cpu", "numpy")
    screen.say(f"{bundle.name} {bundle.version} (population: {bundle.population})")
    screen.say(f"weights: whole, SHA-256 {bundle.card['weights_sha256']}")
    screen.say(
        "card: signed, as it was written"
        if bundle.signed
        else "card: not signed (written by hand, or by an older version); whether it was changed is unknown"
    )
    screen.say(f"NumPy: computes, members: {len(plain)}; a drawn scan gives {rows} rows")
    if importlib.util.find_spec("torch") is None:
        screen.say("PyTorch: not installed, NumPy is used")
        return
    difference = float(np.abs(bundle.predict(image, "cpu", "torch") - plain).max())
    if difference > 1e-4:
        raise CTBMDError(
            f"PyTorch and NumPy disagree by {difference:.2g} g/cm2 on the model in '{bundle.folder}'; use --device cpu and report it.",
            "backends-disagree",
        )
    screen.say(f"PyTorch: computes, differs from NumPy by at most {difference:.1e} g/cm2")


def _model_calibrate(arguments: argparse.Namespace, screen: _Screen) -> None:
    from .cohort.calibrate import calibrate

    report = calibrate(
        arguments.pairs,
        _bundle(arguments),
        arguments.output,
        overwrite=arguments.overwrite,
        dxa=arguments.dxa,
        progress=screen.progress,
    )
    screen.say(str(report).rstrip("\n"))
    screen.say(f"Written: {arguments.output}")
    screen.say(RESEARCH_USE)


if __name__ == "__main__":
    sys.exit(main())
