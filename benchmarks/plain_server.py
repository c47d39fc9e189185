"""The detector behind plain FastAPI, as one writes it in an afternoon: what our services are measured beside.

    python -m benchmarks.plain_server FOLDER PORT

The same weights, libraries and answers; nothing is batched, and nothing is shared but the process. FastAPI runs the endpoint in
its pool of threads, and torch takes the cores that it finds.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image, ImageOps

from inference.detection.detector import Detector


def make_app(detector: Detector) -> FastAPI:
    app = FastAPI()

    @app.post("/analyze")
    def analyze(image: UploadFile) -> dict[str, Any]:
        photo = ImageOps.exif_transpose(Image.open(io.BytesIO(image.file.read()))).convert("RGB")
        [found] = detector.predict([photo])
        garments = [
            {"category": detection.category, "score": detection.score, "box": detection.box_xyxy_px}
            for detection in found
        ]
        return {"width": photo.width, "height": photo.height, "garments": garments}

    @app.get("/health")
    def health() -> str:
        return "ready"

    return app


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="artifact of the detector")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    uvicorn.run(make_app(Detector.load(options.folder)), port=options.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
