"""What the chat answers to held-out questions, beside answers that are chosen without it.

    python -m benchmarks.chat [--work FOLDER] [--model ARTIFACT [--fit-rules]] [--page docs/benchmarks/chat.md]

An adapter is trained by the sample profile's settings, unless `--model` names one or the work folder holds one, and is asked
every question of the test split as it is served; with `--fit-rules`, after the rules of its answers were fitted again. The page
shows the first twenty answers in the split's mixed order with what a reader said of each (`benchmarks/chat_verdicts.yaml`); an
answer that has changed since it was read is marked.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from aura.artifact import write_text
from aura.paths import home, repo_root
from aura.settings import read_profile, validate
from benchmarks.gate import resampled_section
from benchmarks.verdicts import rule_of
from dataprep.prepare import prepare
from dataprep.settings import DataSettings
from flows.gate import interval
from inference.chat.artifact import read_chat_artifact
from inference.chat.model import ChatModel
from training.chat.evaluate import Choose, as_many, first_sentences, likeliest, nearest_sentences
from training.chat.metrics import answer_metrics, facts_in_passages, judged_answers, slice_members
from training.chat.questions import JudgedAnswer, answers_of, read_questions
from training.chat.rules import fit_rules
from training.chat.settings import ChatSettings
from training.judged import judging_half
from training.models import MODELS
from training.paired import differences

READ_ANSWERS = 20
_VERDICTS = Path(__file__).with_name("chat_verdicts.yaml")
_SHOWN = {
    "fact_recall": "key facts said",
    "contradictions": "contradicting answers",
    "unsupported": "unsupported sentences",
    "answer_relevance": "answers to what was asked",
    "sentence_relevance": "sentences from a right section",
    "citation_precision": "sentences from a right page",
    "repetition": "repeated sentences",
    "sentences": "sentences per answer",
}
_COMPARED = ("fact_recall", "answer_relevance")


def prepared(work: Path) -> Path:
    """Conversations and questions of the repository; the drawn data beside them is small, as nobody reads it here."""
    data = work / "data"
    if not data.is_dir():
        values = read_profile("sample").get("data", {})
        values |= {"sample": {"scenes": 60, "outfits": 90, "products": 72, "catalog_items": 48}}
        prepare(validate(DataSettings, values, "data"), work / "raw", repo_root() / "data" / "knowledge", data)
    return data


def trained(work: Path, data: Path) -> Path:
    """The adapter of the work folder; trained now where there is none."""
    out = work / "model"
    if not (out / "config.json").is_file():
        subprocess.run(
            [
                sys.executable, "-m", "training.train", "chat", "--profile", "sample", "--data", str(data), "--out", str(out),
                "--checkpoints", str(work / "checkpoints"), "--pictures", str(work / "pictures"), "--no-tracking",
            ],
            check=True, cwd=repo_root(),
        )  # fmt: skip
    return out


def with_fitted_rules(artifact: Path, work: Path, data: Path, settings: ChatSettings) -> Path:
    """A copy of an artifact whose rules of answers are fitted by this code, as a training would: the adapter stays as it is."""
    out = work / "fitted"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(artifact, out)
    fit_rules(ChatModel.load(out), out, read_questions(data, "validation", settings), settings)
    return out


def page(artifact: Path, data: Path, settings: ChatSettings, most: int | None) -> str:
    """Ask the first questions, or all, and write what came."""
    questions = read_questions(data, "test", settings, most)
    model = ChatModel.load(artifact)
    answers = answers_of(model, questions)
    config, prompt = read_chat_artifact(artifact)
    base = ChatModel.load_base(config.base, prompt=prompt, answers=config.answers)
    choices: Mapping[str, Choose] = {
        "first sentences of the passages": lambda question, count: first_sentences(base, question, count),
        "base without an adapter": lambda question, count: likeliest(base, question, count),
        "sentences nearest by embedding": lambda question, count: nearest_sentences(base, question, count),
    }
    controls = {name: as_many(answers, choose) for name, choose in choices.items()}
    kinds = ", ".join(f"{len(rows)} {name}" for name, rows in slice_members(answers)["kind"].items())
    lines = [
        "# Answers of the chat, measured", "",
        "Written by `make bench-chat` (2 cores, CPU, no network).", "",
        f"{len(questions)} held-out questions ({kinds}), none of which is asked in training or validation, put to the adapter of "
        f"the sample profile as it is served: {settings.passages} passages from the search, then at most "
        f"{config.answers.max_sentences} whole sentences of them, or a plain no. Every control quotes as many sentences per "
        "question as the adapter and declines where it declines: it differs in the choice alone.", "",
        *_table(answers, controls), "",
        f"Of the key facts {facts_in_passages(answers):.2f} stand in the passages: no choice can say more.", "",
        "## Answers beside the point", "", *_beside_the_point(answers), "",
        "## Declining", "", *_declining(answers), "",
        "## Kinds of questions", "", *_kinds(answers), "",
        "## Seconds", "", *_seconds(answers), "",
        "## The gate on these answers", "", *_gate(answers, controls["base without an adapter"]), "",
        f"## {READ_ANSWERS} answers, read", "",
        "The first of the test split, whose order is mixed.", "",
        *_read(answers[:READ_ANSWERS]),
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _table(answers: Sequence[JudgedAnswer], controls: Mapping[str, Sequence[JudgedAnswer]]) -> list[str]:
    own = answer_metrics(answers)
    lines = [f"| | adapter | {' | '.join(controls)} |", f"|---|---|{'---|' * len(controls)}"]
    others = {name: answer_metrics(judged) for name, judged in controls.items()}
    for metric, words in _SHOWN.items():
        cells = [f"{own[metric]:.3f}", *(f"{metrics[metric]:.3f}" for metrics in others.values())]
        lines.append(f"| {words} | {' | '.join(cells)} |")
    new = judged_answers(answers)
    compared = {name: differences(new, judged_answers(judged), 0) for name, judged in controls.items()}
    for metric in _COMPARED:
        lines += [
            "",
            f"{_SHOWN[metric].capitalize()}, adapter less control, with the 95 % interval over questions:",
            "",
        ]
        lines += [f"- {name}: {interval(of[metric].as_dict())}" for name, of in compared.items()]
    return lines


def _beside_the_point(answers: Sequence[JudgedAnswer]) -> list[str]:
    wrong = [answer for answer in answers if answer.beside_the_point]
    answered = sum(answer.question.in_scope and not answer.declined for answer in answers)
    missed = sum(not any(answer.question.answering) for answer in wrong)
    return [
        f"{len(wrong)} of {answered} answers say no key fact and quote no section that holds one; the gate counts each as a "
        f"wrong answer. For {missed} of them the search had found no such section.", "",
        "<details><summary>all of them</summary>", "",
        *(f"- {_asked(answer)}: *{answer.text}*" for answer in wrong), "", "</details>",
    ]  # fmt: skip


def _declining(answers: Sequence[JudgedAnswer]) -> list[str]:
    metrics = answer_metrics(answers)
    return [
        f"Declined: {metrics['correct_refusals']:.3f} of the questions out of scope, {metrics['false_refusals']:.3f} of the "
        "others. The rule was fitted on the validation questions.",
    ]


def _kinds(answers: Sequence[JudgedAnswer]) -> list[str]:
    lines = [
        "| kind | questions | truthfulness | key facts said | answers to what was asked | declined |",
        "|---|---|---|---|---|---|",
    ]
    for name, rows in slice_members(answers)["kind"].items():
        metrics = answer_metrics([answers[row] for row in rows])
        declined = np.mean([answers[row].declined for row in rows])
        within = ["" if np.isnan(metrics[of]) else f"{metrics[of]:.3f}" for of in _COMPARED]
        lines.append(
            f"| {name} | {len(rows)} | {metrics['truthfulness']:.3f} | {' | '.join(within)} | {declined:.3f} |"
        )
    return lines


def _seconds(answers: Sequence[JudgedAnswer]) -> list[str]:
    seconds = np.array([answer.seconds for answer in answers])
    lines = ["| | median | 95 of 100 | longest |", "|---|---|---|---|"]
    for column, words in enumerate(("first sentence", "whole answer")):
        values = seconds[:, column]
        lines.append(f"| {words} | {np.median(values):.2f} | {np.quantile(values, 0.95):.2f} | {values.max():.2f} |")
    return lines


def _gate(answers: Sequence[JudgedAnswer], champion: Sequence[JudgedAnswer]) -> list[str]:
    """The adapter as the challenger of the base's choice, on judging halves drawn again."""
    judges = np.flatnonzero(judging_half([answer.question.row.id for answer in answers]))
    new, old = (judged_answers([of[row] for row in judges.tolist()]) for of in (answers, champion))
    return [
        "The adapter is the challenger, the base's choice the champion.", "",
        "\n\n".join(resampled_section(old, None, new, {}, rule_of("chat"))),
    ]  # fmt: skip


def _read(answers: Sequence[JudgedAnswer]) -> list[str]:
    verdicts = yaml.safe_load(_VERDICTS.read_text(encoding="utf-8")) if _VERDICTS.is_file() else {}
    return [line for answer in answers for line in _read_answer(answer, verdicts.get(answer.question.row.id, {}))]


def _read_answer(answer: JudgedAnswer, seen: Mapping[str, str]) -> list[str]:
    row = answer.question.row
    said = " ".join(
        sentence.text + (f" [{sentence.passage + 1}]" if sentence.passage is not None else "")
        for sentence in answer.sentences
    )
    verdict = seen.get("verdict", "not read yet")
    if seen and seen.get("answer") != answer.text:
        verdict = "not read since it changed"
    passages = [
        f"{place}. *{passage.source}* {' '.join(passage.text.split())}"
        for place, passage in enumerate(answer.question.passages, start=1)
    ]
    return [
        f"**{row.id}: {_asked(answer)}**", "", f"> {said}", "", f"Verdict: {verdict}", "",
        "<details><summary>passages</summary>", "", *passages, "", "</details>", "",
    ]  # fmt: skip


def _asked(answer: JudgedAnswer) -> str:
    return " / ".join(message.content for message in answer.question.row.messages)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.chat", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", type=Path, default=home() / "benchmarks" / "chat")
    parser.add_argument("--data", type=Path, help="prepared data; default: prepared in the work folder")
    parser.add_argument("--model", type=Path, help="artifact; default: trained in the work folder")
    parser.add_argument(
        "--fit-rules", action="store_true", help="fit the rules of its answers again, in a copy of the artifact"
    )
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "chat.md")
    parser.add_argument("--questions", type=int, help="number of questions, from the first; default: all")
    options = parser.parse_args(arguments)
    settings, _ = MODELS["chat"].read_settings(read_profile("sample"))
    assert isinstance(settings, ChatSettings)
    data = options.data or prepared(options.work)
    artifact = options.model or trained(options.work, data)
    if options.fit_rules:
        artifact = with_fitted_rules(artifact, options.work, data, settings)
    options.page.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.page, page(artifact, data, settings, options.questions))
    print(options.page)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
