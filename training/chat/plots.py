"""Plots of a chat training: the loss as it fell, and answers before and after."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import Callback
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from aura.artifact import write_text

_INK, _MUTED, _BEFORE, _AFTER = "#1f2430", "#8a90a0", "#b4552d", "#1f6f5c"
_PAPER, _BEFORE_PAPER, _AFTER_PAPER = "#ffffff", "#fbf3ee", "#eef6f3"
_LINE_CHARS = 66
_LINE_INCHES = 0.215


@dataclass
class LossCurve:
    """(optimizer step, nats per choice or per answer token) of every batch and of every validation."""

    steps: list[tuple[int, float]] = field(default_factory=list)
    validations: list[tuple[int, float]] = field(default_factory=list)


class CurveRecorder(Callback):
    """Fills `curve`; survives a resume with the checkpoint. Like any callback, it holds on to the module after a fit."""

    def __init__(self) -> None:
        self.curve = LossCurve()

    def on_train_batch_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        loss = outputs["loss"] if isinstance(outputs, dict) else outputs
        self.curve.steps.append((trainer.global_step, float(loss)))

    def on_validation_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        self.curve.validations.append((trainer.global_step, float(trainer.callback_metrics["val/loss"])))

    def state_dict(self) -> dict[str, Any]:
        return asdict(self.curve)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.curve = LossCurve(**state_dict)


@dataclass(frozen=True)
class ShownAnswer:
    """A question with what the base and the adapter say, and what the dialogue's author wrote."""

    question: str
    before: str
    after: str
    written: str


def draw_curve(path: Path, curve: LossCurve) -> None:
    """Training loss per step (thin, and smoothed), validation loss per epoch."""
    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    steps = np.array([step for step, _ in curve.steps])
    losses = np.array([loss for _, loss in curve.steps])
    axes.plot(steps, losses, color=_MUTED, linewidth=0.8, alpha=0.6, label="training, each step")
    width = max(1, len(losses) // 8)
    smooth = np.convolve(losses, np.ones(width) / width, mode="valid")
    axes.plot(steps[width - 1 :], smooth, color=_INK, linewidth=1.8, label=f"training, mean of {width} steps")
    if curve.validations:
        at, values = zip(*curve.validations, strict=True)
        axes.plot(at, values, "o-", color=_AFTER, linewidth=1.8, markersize=6, label="validation")
        axes.annotate(
            f"{values[-1]:.2f}",
            (at[-1], values[-1]),
            color=_AFTER,
            xytext=(0, -15),
            textcoords="offset points",
            ha="center",
        )
    axes.set(xlabel="optimizer step", ylabel="nats", title="Chat model: loss")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.legend(frameon=False, loc="upper right", bbox_to_anchor=(1, 0.93))
    figure.savefig(path)


def draw_answers(folder: Path, shown: Sequence[ShownAnswer]) -> None:
    """`answers.png` and `answers.md`: each question with the answers before and after, side by side."""
    if not shown:
        return
    write_text(folder / "answers.md", _markdown(shown))
    rows = [
        (_wrapped(answer.question, 2 * _LINE_CHARS), _wrapped(answer.before), _wrapped(answer.after))
        for answer in shown
    ]
    heights = [(len(question) + max(len(before), len(after)) + 2.6) * _LINE_INCHES for question, before, after in rows]
    total = sum(heights) + 0.75
    figure = Figure(figsize=(12, total), dpi=110, facecolor=_PAPER)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 12), ylim=(total, 0))
    axes.axis("off")
    axes.text(0.25, 0.42, "Answers before", color=_BEFORE, fontsize=15, weight="bold")
    axes.text(6.15, 0.42, "and after training", color=_AFTER, fontsize=15, weight="bold")
    top = 0.75
    for (question, before, after), height in zip(rows, heights, strict=True):
        axes.text(0.25, top, "\n".join(question), color=_INK, fontsize=11.5, weight="bold", va="top", linespacing=1.25)
        body_top = top + (len(question) + 0.4) * _LINE_INCHES
        body = height - (len(question) + 1.2) * _LINE_INCHES
        for left, lines, paper, edge in ((0.2, before, _BEFORE_PAPER, _BEFORE), (6.1, after, _AFTER_PAPER, _AFTER)):
            axes.add_patch(_box(left, body_top, 5.7, body, paper, edge))
            axes.text(
                left + 0.18, body_top + 0.14, "\n".join(lines), color=_INK, fontsize=10.5, va="top", linespacing=1.35
            )
        top += height
    figure.savefig(folder / "answers.png")


def _box(left: float, top: float, width: float, height: float, paper: str, edge: str) -> Rectangle:
    return Rectangle((left, top), width, height, facecolor=paper, edgecolor=edge, linewidth=0.8)


def _wrapped(text: str, chars: int = _LINE_CHARS) -> list[str]:
    # A dollar sign would open a formula.
    lines = [textwrap.wrap(line, chars) or [""] for line in text.replace("$", r"\$").splitlines()]
    return [part for line in lines for part in line] or ["(no words)"]


def _markdown(shown: Sequence[ShownAnswer]) -> str:
    sections = ["# Answers before and after training\n"]
    for answer in shown:
        sections.append(
            f"## {answer.question}\n\n**Before (base model)**\n\n{_quoted(answer.before)}\n\n**After (adapter)**\n\n"
            f"{_quoted(answer.after)}\n\n**Written by the dialogue's author**\n\n{_quoted(answer.written)}\n"
        )
    return "\n".join(sections)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in (text or "(no words)").splitlines())
