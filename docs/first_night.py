"""Metrics of a night and answers of its services about one photo, as the Markdown of `docs/first-night.md`.

    aura serve --profile ccp &
    python docs/first_night.py --profile ccp --photo PATH/photos/0120.jpg

Metrics come from the night's working copy, answers from the running services.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
from pathlib import Path
from typing import Any

import httpx
from PIL import Image
from websockets.sync.client import connect

from aura.artifact import read_json
from aura.paths import profile_paths
from aura.pictures import read_picture
from flows.profile import load_profile
from flows.services import SERVICES

_QUESTION = "I wear a dress with ankle boots. What can I wear over it when the evening gets cold?"
_QUERY = "what can i wear over this when the evening gets cold"
_CONVERSATION = ("Which bag goes with an evening dress?", "and for a day at the office?")
_TIMEOUT_SECONDS = 120


def metric_tables(folder: Path) -> str:
    """Tables of the metrics on the test split, and of the detector per category and photo type."""
    test = {
        model: read_json(folder / "metrics" / "test" / f"{model}.json", model)
        for model in ("detection", "outfits", "chat")
    }
    train = {model: read_json(folder / "metrics" / "train" / f"{model}.json", model) for model in test}
    index = read_json(folder / "metrics" / "index.json", "the index metrics")["candidate"]
    metrics = {model: comparison["challenger"]["metrics"] for model, comparison in test.items()}
    seen, worn, said = metrics["detection"], metrics["outfits"], metrics["chat"]
    rows = [
        (
            "detector",
            f"AP50 **{seen['ap50']:.3f}**, AP {seen['ap']:.3f} ({test['detection']['challenger']['n']} photos)",
            "-",
        ),
        (
            "outfits",
            f"FITB with titles {worn['fitb']:.3f}, without {worn['fitb_untitled']:.3f}, mean **{worn['fitb_both']:.3f}**; AUC "
            f"{worn['auc']:.3f} and {worn['auc_untitled']:.3f} ({test['outfits']['challenger']['n']} blanks)",
            f"word pairs {worn['word_pairs_fitb']:.3f} and {worn['word_pairs_fitb_untitled']:.3f}",
        ),
        (
            "chat",
            f"truthfulness **{said['truthfulness']:.2f}**, key facts said {said['fact_recall']:.2f} of "
            f"{said['facts_in_passages']:.2f} in the passages, contradictions {said['contradictions']:.1%}, refusals: right "
            f"{said['correct_refusals']:.0%}, false {said['false_refusals']:.0%} "
            f"({test['chat']['challenger']['n']} questions)",
            "-",
        ),
    ]
    lines = ["| model | metrics on the test split | baseline | seconds of training |", "|---|---|---|---|"]
    for (name, values, baseline), training in zip(rows, train.values(), strict=True):
        lines.append(f"| {name} | {values} | {baseline} | {training['seconds']:.0f} |")
    lines.append(f"| index | recall@5 **{index['recall_at_5']:.2f}**, nDCG@10 {index['ndcg_at_10']:.2f} | - | - |")
    slices, sizes = test["detection"]["challenger"]["slices"], test["detection"]["challenger"]["slice_sizes"]
    lines += ["", "| category | boxes in the test split | AP50 |", "|---|---|---|"]
    for name, value in sorted(slices["category"].items(), key=lambda item: -item[1]):
        lines.append(f"| {name} | {sizes['category'][name]} | {value:.2f} |")
    if len(slices["photo type"]) > 1:
        lines += ["", "| photo type | photos in the test split | AP50 |", "|---|---|---|"]
        lines += [
            f"| {name} | {sizes['photo type'][name]} | {value:.2f} |" for name, value in slices["photo type"].items()
        ]
    return "\n".join(lines)


def transcript(urls: dict[str, str], photo_path: Path) -> str:
    """Requests and answers of all endpoints, the longer answers cut to their first rows."""
    photo = read_picture(photo_path, photo_path.name).image
    seen = _post(urls["visual_analysis"] + "/analyze?similar=1", files={"image": photo_path.open("rb")})
    garments = seen["garments"][:4]
    surest = {garment["category"]: garment for garment in reversed(garments)}
    items = [
        {"category": garment["category"], "image_base64": _cut(photo, garment["box"])} for garment in surest.values()
    ]
    outfits = urls["outfit_recommendation"]
    judged = _post(outfits + "/evaluate", json={"items": items})
    lacking = [name for name in ("bags", "shoes", "bottoms", "tops") if name not in surest][:2]
    found = _post(outfits + "/recommend", json={"items": items, "targets": lacking, "k": 2})["targets"]
    talk = urls["conversational_ai"]
    passages = _post(talk + "/rag/query", json={"query": _QUERY, "k": 2})["passages"]
    answer = _post(talk + "/chat", json={"messages": [{"role": "user", "content": _QUESTION}]})
    sources = ", ".join(dict.fromkeys(source["slug"] for source in answer["sources"]))
    sections = [
        f"### Analyze\n\n{len(seen['garments'])} garments in a photo of {seen['width']} x {seen['height']} px, by certainty:\n",
        _block([*(_row(garment) for garment in garments), *([f"notice: {seen['notice']}"] if seen["notice"] else [])]),
        "### Evaluate\n\nThe surest garment of each category, cut out of the photo, sent as an outfit:\n",
        _block([f"score {judged['score']:.3f}", *(_row(item) for item in judged["items"])]),
        f'### Recommend\n\nThe same items with `"targets": {json.dumps(lacking)}, "k": 2`, categories that they lack:\n',
        _block(f"{target}: {_row(item)}" for target, rows in found.items() for item in rows),
        f"### Query the knowledge\n\n`{json.dumps({'query': _QUERY, 'k': 2})}`\n",
        _block(_row({key: passage[key] for key in ("slug", "heading", "score")}) for passage in passages),
        f"### Chat\n\n`{_QUESTION}`\n",
        f"> {answer['message']['content']}\n\n(sources: {sources}; finish_reason: {answer['finish_reason']}; declined: "
        f"{json.dumps(answer['declined'])})\n",
        "### The WebSocket\n\n`>` is sent, `<` comes back, token frames joined:\n",
        _block(_conversation(talk)),
    ]
    return "\n".join(sections)


def _post(url: str, **request: Any) -> dict[str, Any]:
    answer: dict[str, Any] = (
        httpx.post(url, timeout=_TIMEOUT_SECONDS, trust_env=False, **request).raise_for_status().json()
    )
    return answer


def _cut(photo: Image.Image, box: list[float]) -> str:
    buffer = io.BytesIO()
    photo.crop(tuple(round(edge) for edge in box)).save(buffer, "PNG")  # type: ignore[arg-type]
    return base64.b64encode(buffer.getvalue()).decode()


def _row(values: Any) -> str:
    return json.dumps(_short(values))


def _short(value: Any) -> Any:
    """Without ids, numbers with three digits."""
    if isinstance(value, dict):
        return {key: _short(element) for key, element in value.items() if key != "item_id"}
    if isinstance(value, list):
        return [_short(element) for element in value]
    return round(value, 3) if isinstance(value, float) else value


def _block(lines: Any) -> str:
    return "```\n" + "\n".join(lines) + "\n```\n"


def _conversation(url: str) -> list[str]:
    lines = []
    with connect(url.replace("http", "ws", 1) + "/ws/chat", open_timeout=30, proxy=None) as socket:
        for question in _CONVERSATION:
            sent = json.dumps({"content": question})
            socket.send(sent)
            frames = [json.loads(socket.recv(timeout=_TIMEOUT_SECONDS))]
            while frames[-1]["type"] not in ("done", "error"):
                frames.append(json.loads(socket.recv(timeout=_TIMEOUT_SECONDS)))
            text = "".join(frame["text"] for frame in frames if frame["type"] == "token")
            pages = [source["slug"] for source in frames[0]["sources"]]
            lines += [f"> {sent}", f"< sources: {', '.join(pages)}", f"< {text}", f"< {json.dumps(frames[-1])}"]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="sample")
    parser.add_argument("--photo", type=Path, help="photo to ask about; without it only the metrics are printed")
    options = parser.parse_args()
    profile = load_profile(options.profile)
    print(metric_tables(profile_paths(profile.profile).workspace))
    if options.photo:
        urls = {name: service.url(profile.serving) for name, service in SERVICES.items()}
        print("\n" + transcript(urls, options.photo))


if __name__ == "__main__":
    main()
