"""The evaluation as Markdown with figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from CTBMDLib.bmd.reference import ReferenceTable
from CTBMDLib.disclaimers import RESEARCH_USE
from CTBMDLib.safefile import write_text

from . import disturbed
from .evaluate import osteoporosis
from .studies import PRIORS, SCANNERS, SHUFFLED, SOURCES

NAMES = {
    "internal": "internal (institution A)",
    "external": "external (institution B)",
    "asia": "East Asian people and a Lunar DXA (institution C)",
    "several": "many scanners of 80 to 140 kV",
}
PAPER = {
    "internal": "r 0.852, AUC 0.965 (45 patients)",
    "external": "r 0.840, AUC 0.970 (50 patients)",
}


def write_report(
    folder, report: dict, tables: dict, title="simulated CT and simulated DXA"
) -> None:
    """Write report.md, figures.json and the plots to a folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    plain = json.loads(json.dumps(report))
    write_text(folder / "figures.json", json.dumps(plain, indent=1) + "\n", overwrite=True)
    write_text(folder / "report.md", to_markdown(report, title), overwrite=True)
    plot(folder / "agreement.svg", report, tables, "simulated" in title)
    curve = report.get("studies", {}).get("Learning curve")
    if curve:
        plot_curve(folder / "learning_curve.svg", curve)


def to_markdown(report: dict, title: str) -> str:
    """The figures as text; every value with its 95 % bootstrap interval."""
    patients, simulated = report["patients"], "simulated" in title
    out = [
        f"# Evaluation on {title}",
        "",
        f"{RESEARCH_USE} All figures below were measured on {title}; {report.get('scope', 'they say nothing about the accuracy on patients')}.",
        "",
        f"Trained on {patients['train']} patients ({report['images']} images), ensemble of "
        f"{len(report['plan']['seeds'])}. In brackets: 95 % bootstrap interval over patients.",
        "",
    ]
    names = report.get("names", NAMES)
    for name, entry in report["tested"].items():
        out += _tested(names.get(name, name), entry)
        if name in PAPER and simulated:
            out += [
                f"The published study, on patients and real DXA: {PAPER[name]}. Not comparable: "
                "virtual patients are simpler than people.",
                "",
            ]
    if "response" in report:
        out += _response(report["response"])
    if "disturbed" in report:
        out += disturbed.lines(report["disturbed"])
    for section, rows in report.get("studies", {}).items():
        out += study_lines(section, rows)
    for section, rows in report.get("redrawn", {}).items():
        out += _redrawn(section, rows)
    if "studies" in report:
        out += ["![learning curve](learning_curve.svg)", ""]
    if "cohort" in report:
        out += _cohort(report["cohort"], report["findings"])
    return "\n".join(out + _ending(report, simulated))


def _tested(title, entry) -> list[str]:
    """The table of one tested cohort and what its interval held."""
    low = "" if entry["osteoporosis"] is None else f", {entry['osteoporosis']} with T <= -2.5"
    out = [
        f"## {title}: {entry['patients']} patients{low}",
        "",
        "| method | r | RMSE g/cm2 | bias g/cm2 | SD of errors | limits of agreement | AUC |",
        "| --- " * 7 + "|",
    ]
    for method, values in entry.items():
        if not (isinstance(values, dict) and "rmse" in values):
            continue
        limits = f"{values['loa_low'][0]:+.3f} to {values['loa_high'][0]:+.3f}"
        out.append(
            f"| {method} | {_cell(values.get('r'))} | {_cell(values['rmse'])} | "
            f"{_cell(values['bias'], True)} | {_cell(values.get('sd'))} | {limits} | {_cell(values.get('auc'))} |"
        )
    cover = entry["coverage"]
    return [
        *out,
        "",
        f"The interval, calibrated to cover 90 %, covered {100 * cover['total']:.0f} % of the L1-L4 "
        f"values and {100 * cover['levels']:.0f} % of single vertebrae (half width of L1-L4 "
        f"{cover['half_width_total_g_cm2']:.3f} g/cm2).",
        *age_line(entry.get("by age")),
        *_untold(entry.get("without kVp")),
        "",
    ]


def age_line(groups) -> list[str]:
    """How errors go with age."""
    if not groups:
        return []
    told = "; ".join(
        f"{group['from']} to {group['to'] - 1} years {group['bias']:+.3f} (SD {group['sd']:.3f}, "
        f"{group['patients']} people)"
        for group in groups
    )
    return [f"Errors by age, g/cm2: {told}."]


def _untold(entry) -> list[str]:
    """What not being told the tube voltage costs."""
    if entry is None:
        return []
    figures, cover = entry["L1-L4"], entry["coverage"]
    return [
        f"Without being told the tube voltage: r {_cell(figures['r'])}, RMSE "
        f"{_cell(figures['rmse'])}, bias {_cell(figures['bias'], True)} g/cm2; the interval, wider "
        f"then, covered {100 * cover['total']:.0f} % of L1-L4 and {100 * cover['levels']:.0f} % of "
        f"single vertebrae (half width of L1-L4 {cover['half_width_total_g_cm2']:.3f} g/cm2)."
    ]


def _response(response) -> list[str]:
    return [
        f"Response to mineral: slope {response['slope']:.2f} within "
        f"{response['anatomies']} held-out anatomies simulated at several mineral "
        "contents (1 is a full answer). These patients, drawn wide, are answered "
        "{:+.1f} (standard error {:.1f}) % off in the mean.".format(*response["error_percent"]),
        "",
    ]


def _ending(report, simulated) -> list[str]:
    """The reference, the plots, the time it took, and where the patients are shown."""
    if report["reference"]:
        device = ReferenceTable.load(report["reference"]).device
        scores = f"T-scores with the reference table {report['reference']}, which is for DXA of {device}. "
    else:
        scores = "No AUC, because no reference table was named. "
    fitted = f"Baselines were fitted on the {report['patients']['validation']} validation patients."
    out = [scores + fitted, "", "![agreement](agreement.svg)", ""]
    if "seconds" in report:
        parts = ", ".join(f"{name} {s / 60:.0f}" for name, s in report["seconds"].items())
        hours = sum(report["seconds"].values()) / 3600
        out += [f"Minutes of each stage: {parts}; {hours:.2f} hours in all.", ""]
    if simulated:
        out += [
            "Virtual patients of the tested institutions, chosen by number alone (the first two of each):",
            "[contact_sheet.jpg](contact_sheet.jpg); simulated aBMD and HU beside the literature:",
            "[cohort.txt](cohort.txt).",
            "",
        ]
    return out


def _cohort(cohort, findings):
    """What a hospital's table held, and whom to look at again."""
    out = ["## The patients", ""]
    for name in ("institutions", "scanners", "dxa_devices", "sex"):
        counts = "; ".join(f"{value} ({count})" for value, count in cohort[name].items())
        out.append(f"- {name.replace('_', ' ').replace('dxa', 'DXA')}: {counts}")
    if len(cohort["dxa_devices"]) > 1:
        out.append("- The values of different DXA devices need not agree; no conversion was made.")
    if cohort["only_L1-L4_measured"]:
        out.append(
            f"- Of {cohort['only_L1-L4_measured']} CT only L1-L4 was measured; each of their "
            "vertebrae is held against it."
        )
    out += [f"- {finding}" for finding in cohort["findings"]]
    out.append("")
    if findings:
        out += ["Used, but to be checked by a person:", ""]
        out += [f"- {case}: {text}" for case, text in findings.items()]
        out.append("")
    return out


STUDY_NOTES = {
    "Learning curve": "One network a row; the bundle's ensemble is in the tables above.",
    "Ablations": "Each row is the base with one thing changed, one network each. Differences smaller "
    "than the intervals mean nothing.",
    "Design of the published study": "A network trained as the study's: patients of one institution "
    "as they come, not drawn wide, each image shown more often than to the others.",
    SHUFFLED: "Each network learned from the labels of other patients, another shuffle each, on fewer "
    "images than the others and without changed mineral, whose label would tell the truth. Nothing "
    "true can be learned so, and the answers hardly follow the mineral: the response must be near 0. r "
    "alone does not show it. It is blind to how small a slope is, and the network's form (what is above "
    "soft tissue, summed over bone, over a width) is not learned.",
}


def study_lines(section, rows) -> list[str]:
    """The table of one section of the studies."""
    out = [f"## {section}", ""]
    if section in STUDY_NOTES:
        out += [STUDY_NOTES[section], ""]
    out += [
        "| | patients | r internal | r external | RMSE external | bias external | response |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for label, x in rows.items():
        inside, outside = x["internal"], x["external"]
        out.append(
            f"| {label} | {x['patients']} | {_cell(inside.get('r'))} | {_cell(outside.get('r'))} | "
            f"{_cell(outside['rmse'])} | {_cell(outside['bias'], True)} | {x['response']:.2f} |"
        )
    if section == SHUFFLED:
        mean = {
            name: np.mean([x[name]["r"][0] for x in rows.values() if "r" in x[name]] or [np.nan])
            for name in ("internal", "external")
        }
        out.append(
            f"| mean of {len(rows)} | | {mean['internal']:+.3f} | {mean['external']:+.3f} | "
            f"{np.mean([x['external']['rmse'][0] for x in rows.values()]):.3f} | | "
            f"{np.mean([x['response'] for x in rows.values()]):.2f} |"
        )
    return [*out, ""]


REDRAWN_NOTES = {
    PRIORS: "The same external patients drawn again from the same seeds with one prior changed; nothing "
    "is trained anew.",
    SCANNERS: "The same external patients, the same DXA, scanned with something of institution A's "
    "scanner in the place of B's: what the bias at B owes to which.",
    SOURCES: "The same external patients drawn again without one of the things in which they differ: "
    "what the SD of the errors is made of.",
}


def _redrawn(section, rows):
    out = [
        f"## {section}",
        "",
        REDRAWN_NOTES[section],
        "'Change' is that of the error in the same patients, 'DXA moved' how much their DXA is another",
        "(mean and SD); r of trabecular HU and of slice DXA (no learning) stand beside it.",
        "",
        "| | patients | CNN r | CNN RMSE | CNN bias | SD of errors | change | DXA moved | "
        "trabecular HU r | slice DXA r |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, (label, x) in enumerate(rows.items()):
        c = x["CNN"]
        sd = (c["loa_high"][0] - c["loa_low"][0]) / (2 * 1.96)
        change = _cell(x["change"], True) if number else "-"
        moved = "{:+.1f} ({:.1f}) %".format(*x["dxa_moved_percent"]) if number else "-"
        out.append(
            f"| {label} | {x['patients']} | {_cell(c.get('r'))} | {_cell(c['rmse'])} | "
            f"{_cell(c['bias'], True)} | {sd:.3f} | {change} | {moved} | "
            f"{x['trabecular HU r']:.2f} | {x['slice DXA r']:.2f} |"
        )
    return [*out, ""]


def _cell(value, signed=False):
    if value is None:
        return "-"
    form = "{:+.3f}" if signed else "{:.3f}"
    return "{} [{}, {}]".format(*(form.format(x) for x in value))


def _pyplot():
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    # Text that a reader can search and git can compare: the same figures, the same bytes.
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "ctbmd"})
    return plt


def _save(figure, path):
    figure.savefig(path, metadata={"Date": None})
    _pyplot().close(figure)


def plot(path, report, tables, simulated=False):
    """Scatter, Bland-Altman and ROC of every tested cohort, as SVG."""
    plt, kind = _pyplot(), "simulated DXA" if simulated else "DXA"
    reference = report["reference"] and ReferenceTable.load(report["reference"])
    names = report.get("names", NAMES)
    tested = list(report["tested"])
    figure, axes = plt.subplots(
        len(tested),
        3 if reference else 2,
        figsize=(11 if reference else 7.4, 3.6 * len(tested)),
        squeeze=False,
        layout="constrained",
    )
    for row, name in zip(axes, tested, strict=True):
        measured = tables[name].total
        predicted = np.array(report["tested"][name]["prediction"])
        low, high = min(measured.min(), predicted.min()), max(measured.max(), predicted.max())
        row[0].plot([low, high], [low, high], color="0.7", lw=1)
        row[0].scatter(measured, predicted, s=12, color="tab:blue")
        row[0].set(
            xlabel=f"{kind} L1-L4, g/cm2",
            ylabel="CNN L1-L4, g/cm2",
            title=names.get(name, name),
        )
        error = predicted - measured
        row[1].scatter((predicted + measured) / 2, error, s=12, color="tab:blue")
        for value, style in (
            (error.mean(), "-"),
            (error.mean() - 1.96 * error.std(ddof=1), "--"),
            (error.mean() + 1.96 * error.std(ddof=1), "--"),
        ):
            row[1].axhline(value, color="0.4", ls=style, lw=1)
        row[1].set(
            xlabel="mean of both, g/cm2", ylabel=f"CNN - {kind}, g/cm2", title="Bland-Altman"
        )
        if not reference:
            continue
        positive = osteoporosis(tables[name], reference)
        if positive is not None and positive.any() and not positive.all():
            order = np.argsort(predicted, kind="stable")
            hit = np.concatenate([[0], np.cumsum(positive[order]) / positive.sum()])
            miss = np.concatenate([[0], np.cumsum(~positive[order]) / (~positive).sum()])
            row[2].step(miss, hit, where="post")
            row[2].plot([0, 1], [0, 1], color="0.8", lw=1)
        row[2].set(xlabel="1 - specificity", ylabel="sensitivity", title=f"T <= -2.5 by {kind}")
    _save(figure, path)


def plot_curve(path, rows):
    """RMSE and r against the number of training patients, as SVG."""
    plt = _pyplot()
    figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    count = [x["patients"] for x in rows.values()]
    for axis, key, label in zip(axes, ("rmse", "r"), ("RMSE, g/cm2", "r"), strict=True):
        for name, colour in (("internal", "tab:green"), ("external", "tab:blue")):
            known = [(x["patients"], x[name][key]) for x in rows.values() if key in x[name]]
            if not known:
                continue
            value = np.array([v for _, v in known])
            error = np.abs(value[:, 1:].T - value[:, 0])
            axis.errorbar(
                [n for n, _ in known],
                value[:, 0],
                error,
                marker="o",
                capsize=3,
                color=colour,
                label=name,
            )
        axis.set(xscale="log", xlabel="training patients (simulated)", ylabel=label)
        axis.set_xticks(count, [str(n) for n in count])
        axis.minorticks_off()
        axis.legend()
    _save(figure, path)
