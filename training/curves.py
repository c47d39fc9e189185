"""The curves of a training, drawn from the history that every training writes."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


@dataclass(frozen=True)
class Panel:
    """One diagram: its title and the columns of the history that it shows, where they exist."""

    title: str
    columns: tuple[str, ...]
    logarithmic: bool = False


def draw_curves(path: Path, history: Path, panels: Sequence[Panel]) -> None:
    """Write a PNG with the panels side by side over epochs."""
    with history.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    figure = Figure(figsize=(5 * len(panels), 3.6), layout="constrained")
    for axis, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        for name in panel.columns:
            points = [(float(row["epoch"]) + 1, float(row[name])) for row in rows if row.get(name)]
            if points:
                axis.plot(*zip(*points, strict=True), label=name, linewidth=1.8, marker=".", markersize=4)
        axis.set_xlabel("epoch")
        axis.set_title(panel.title, loc="left", fontsize=10)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        if panel.logarithmic:
            axis.set_yscale("log")
        if axis.lines:
            axis.legend(frameon=False, fontsize=8)  # last, so that it is placed where no curve is
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=110, facecolor="white")
