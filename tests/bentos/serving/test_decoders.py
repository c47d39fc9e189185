"""Images are decoded in processes that may die alone, a few at a time, for a limited time."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from PIL import Image

from aura.errors import InvalidRequestError
from aura.pictures import Picture
from bentos.serving import decoders
from bentos.serving.decoders import ImageDecoder
from bentos.serving.images import Box, decode
from bentos.serving.settings import ServingSettings
from tests.pictures import HEIC, as_bytes, grey_png
from tests.processes import command_of

SMALL = as_bytes(Image.new("RGB", (30, 20), "red"))
BAD = b"crashes a library"
ENDLESS = b"never ends"
ODD = b"makes a library warn"


def read(content: bytes, limits: ServingSettings, where: str, box: Box | None = None) -> Picture:
    """Decodes, except for three files that a library cannot bear."""
    if content == BAD:
        os.kill(os.getpid(), signal.SIGSEGV)
    if content == ODD:
        warnings.warn("an odd file", stacklevel=1)
        content = SMALL
    while content == ENDLESS:
        time.sleep(1)
    return decode(content, limits, where, box)


@pytest.fixture
def decoder() -> Iterator[ImageDecoder]:
    made = ImageDecoder(ServingSettings(decoders=2, decode_seconds=3), read)
    yield made
    made.close()


def processes() -> list[psutil.Process]:
    """Those that decode: children of this process that were spawned, but for Python's own tracker of resources."""
    return [child for child in psutil.Process().children() if "spawn_main" in command_of(child)]


def test_many_images_share_few_processes(decoder: ImageDecoder) -> None:
    async def six() -> list[tuple[int, int]]:
        sent = await asyncio.gather(*(decoder.decode(SMALL) for _ in range(6)))
        return [(image.width_px, image.height_px) for image in sent]

    before = {process.pid for process in processes()}
    assert asyncio.run(six()) == [(30, 20)] * 6
    assert 1 <= len({process.pid for process in processes()} - before) <= 2


def test_a_file_that_ends_its_process_takes_no_other_with_it(decoder: ImageDecoder) -> None:
    async def among_others() -> list[object]:
        contents = (SMALL, BAD, HEIC, SMALL)
        return await asyncio.gather(*(decoder.decode(content, "photo") for content in contents), return_exceptions=True)

    first, refused, phone, last = asyncio.run(among_others())
    assert [(image.width_px, image.height_px) for image in (first, phone, last)] == [(30, 20), (48, 32), (30, 20)]  # type: ignore[attr-defined]
    assert isinstance(refused, InvalidRequestError)
    assert refused.message.startswith("photo took more than 3 seconds, or too much memory")
    assert refused.hint


def test_a_file_that_takes_for_ever_is_refused(decoder: ImageDecoder) -> None:
    async def endless_first() -> int:
        with pytest.raises(InvalidRequestError, match="photo took more than 3 seconds"):
            await decoder.decode(ENDLESS, "photo")
        return (await decoder.decode(SMALL)).width_px

    assert asyncio.run(endless_first()) == 30


def test_a_process_that_died_while_it_waited_costs_nothing(decoder: ImageDecoder) -> None:
    before = {process.pid for process in processes()}

    async def twice() -> int:
        await decoder.decode(SMALL)
        [process] = [process for process in processes() if process.pid not in before]
        process.kill()
        process.wait()
        return (await decoder.decode(SMALL)).width_px

    assert asyncio.run(twice()) == 30


def test_a_refused_image_keeps_its_message_and_its_process(decoder: ImageDecoder) -> None:
    async def refused() -> None:
        await decoder.decode(SMALL)
        kept = {process.pid for process in processes()}
        with pytest.raises(InvalidRequestError, match=r"items\.0 is not a readable JPEG"):
            await decoder.decode(b"no image", "items.0")
        with pytest.raises(InvalidRequestError, match=r"items\.0 is not base64"):
            await decoder.decode_base64("%%%", "items.0")
        await decoder.decode(SMALL)
        assert {process.pid for process in processes()} == kept

    asyncio.run(refused())


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the data of a process")
def test_a_file_that_needs_too_much_memory_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "_OTHER_BYTES", 20_000_000)
    monkeypatch.setattr(decoders, "_BYTES_PER_PIXEL", 0)
    decoder = ImageDecoder(ServingSettings())

    async def large_first() -> int:
        with pytest.raises(InvalidRequestError):
            await decoder.decode(grey_png(8000, 5000, 9))
        return (await decoder.decode(SMALL)).width_px

    assert asyncio.run(large_first()) == 30
    decoder.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not limit the data of a process")
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_the_largest_picture_that_is_allowed_fits(kind: str) -> None:
    side = 2000
    photo = Image.effect_noise((side, side), 90).convert("RGBA")
    photo.putalpha(128)
    decoder = ImageDecoder(ServingSettings(max_image_pixels=side * side, max_image_bytes=60_000_000))
    sent = asyncio.run(decoder.decode(as_bytes(photo, kind)))
    assert (sent.width_px, sent.pixels.width_px) == (side, side)
    decoder.close()


_SERVICE = """
import asyncio, psutil, sys, time
from pathlib import Path
from bentos.serving.decoders import ImageDecoder
from bentos.serving.settings import ServingSettings

if __name__ == "__main__":
    decoder = ImageDecoder(ServingSettings())
    asyncio.run(decoder.decode(Path(sys.argv[1]).read_bytes()))
    print(*(child.pid for child in psutil.Process().children()), flush=True)
    time.sleep(300)
"""


def test_a_killed_service_leaves_no_process(tmp_path: Path) -> None:
    (tmp_path / "small.png").write_bytes(SMALL)
    (tmp_path / "service.py").write_text(_SERVICE)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(tmp_path / "service.py"), str(tmp_path / "small.png")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as service:
        assert service.stdout
        children = [psutil.Process(int(pid)) for pid in service.stdout.readline().split()]
        assert children
        service.kill()
    _, alive = psutil.wait_procs(children, timeout=60)
    for process in alive:
        process.kill()
    assert not alive


def test_what_a_library_warns_of_is_a_json_line(decoder: ImageDecoder, capfd: pytest.CaptureFixture[str]) -> None:
    asyncio.run(decoder.decode(ODD))
    written = "".join(capfd.readouterr())
    [line] = [json.loads(line) for line in written.splitlines()]
    assert "an odd file" in line["message"]
    assert line["level"] == "WARNING"
