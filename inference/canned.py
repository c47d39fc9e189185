"""Canned requests: does an artifact load and answer at all?

    python -m inference.canned detection DIR

The gate runs this on the copy that came back from the registry, in a process of its own, so that a broken upload or a
crash inside a native library is found before the version takes traffic.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from aura.errors import ArtifactError, AuraError
from aura.taxonomy import Category


def check_detection(folder: Path, device: str) -> str:
    """A drawn photo and a very small one give lists of boxes inside the image."""
    from inference.detection.detector import Detector

    photo = Image.new("RGB", (240, 320), "#d9d4cc")
    ImageDraw.Draw(photo).rectangle((70, 60, 170, 180), fill="#1f3a5f")
    found = Detector.load(folder, device).predict([photo, Image.new("RGB", (8, 8))], threshold=0.0)
    if len(found) != 2:
        raise ArtifactError(f"the detector answered {len(found)} lists for 2 photos")
    for one in found[0]:
        x0, y0, x1, y1 = one.box_xyxy_px
        if not (0 <= x0 <= x1 <= 240 and 0 <= y0 <= y1 <= 320 and 0 <= one.score <= 1):
            raise ArtifactError(f"the detector answered a box outside of the photo: {one}")
    return f"{len(found[0])} candidate boxes"


def check_outfits(folder: Path, device: str) -> str:
    """Two items get a probability, and a third is ranked among two candidates."""
    from inference.outfits.items import Item
    from inference.outfits.model import OutfitModel

    def item(name: str, category: Category, colour: str) -> Item:
        image = Image.new("RGB", (96, 96), colour)
        return Item(item_id=name, category=category, title=f"{colour} {name}", attributes={}, image=image)

    outfit = [item("shirt", Category.TOPS, "white"), item("trousers", Category.BOTTOMS, "navy")]
    shoes = [item("loafers", Category.SHOES, "brown"), item("sandals", Category.SHOES, "lime")]
    model = OutfitModel.load(folder, device)
    score = model.score([outfit])[0]
    ranking = model.rank(outfit, Category.SHOES, shoes)
    if not 0 <= score <= 1 or sorted(index for index, _ in ranking) != [0, 1]:
        raise ArtifactError(f"the outfit model answered score {score} and ranking {ranking}")
    return f"score {score:.3f}"


def check_chat(folder: Path, device: str) -> str:
    """A question gets words."""
    from inference.chat.model import ChatModel

    reply = ChatModel.load(folder, device).reply(
        [{"role": "user", "content": "What goes with a navy blazer?"}], max_new_tokens=24
    )
    if not reply.text.strip():
        raise ArtifactError("the chat model answered with no words")
    return f"{reply.new_tokens} tokens: {reply.text.strip()[:60]!r}"


CHECKS: dict[str, Callable[[Path, str], str]] = {
    "detection": check_detection,
    "outfits": check_outfits,
    "chat": check_chat,
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="inference.canned", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=sorted(CHECKS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--device", default="cpu", help="torch device, for example cpu or cuda:0")
    options = parser.parse_args(arguments)
    try:
        print(f"{options.model} answers: {CHECKS[options.model](options.folder, options.device)}")
    except AuraError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
