"""Where callers' images are decoded, a few at a time: in threads what cannot take long, everything else in processes.

A file of a few kilobytes may hold a picture of a gigabyte, or one that a library crashes on. A process has a limit on memory
and on time, and what such a file ends takes nothing with it but that file: neither other requests nor the model. What a camera
writes, a JPEG of one pass, takes time and memory by its pixels alone (`bentos.serving.plain_jpeg`): it stays in the service,
whose threads decode side by side, and is not copied from process to process.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context

import psutil

from aura.errors import InvalidRequestError
from aura.pictures import Picture
from aura.supervision import die_with
from bentos.serving.base64_text import bytes_of_base64
from bentos.serving.images import Box, SentImage, decode
from bentos.serving.plain_jpeg import is_plain_jpeg
from bentos.serving.request_log import log_json_lines
from bentos.serving.settings import ServingSettings

_BYTES_PER_PIXEL = 24
"""At the widest moment: with transparency four bytes, in Pillow's copy, the library's, and those that reducing makes."""
_OTHER_BYTES = 512_000_000
_ATTEMPTS = 2
"""A process may have ended while it waited, or for another reason than its file."""

_PLAIN_PIXELS = 16_000_000
"""Of a JPEG that is decoded in a thread; a tenth of a second. Phones take photos of 12 million."""

Read = Callable[[bytes, ServingSettings, str, Box | None], Picture]
_NICE = 5
"""Lower priority of these processes: a file that takes long must not slow down those who ask for something else."""


class ImageDecoder:
    """Decodes at most `ServingSettings.decoders` images at a time; threads and processes start when they are first needed."""

    def __init__(self, limits: ServingSettings, read: Read = decode) -> None:
        self._limits, self._read = limits, read
        self._turns = asyncio.Semaphore(limits.decoders)
        self._idle: list[ProcessPoolExecutor] = []
        # As many threads: one whose caller has gone goes on, and the next caller waits for it.
        self._threads = ThreadPoolExecutor(limits.decoders, "decoder")

    async def decode_base64(self, text: str, where: str, box: Box | None = None) -> SentImage:
        """The image in a file that was sent as base64.

        Args:
            box: see `bentos.serving.images.decode`.

        Raises:
            InvalidRequestError: as `bentos.serving.base64_text.bytes_of_base64`, and as `decode`.
        """
        content = await asyncio.to_thread(bytes_of_base64, text, self._limits, where)
        return await self.decode(content, where, box)

    async def decode(self, content: bytes, where: str = "image", box: Box | None = None) -> SentImage:
        """The image in a file.

        Args:
            box: see `bentos.serving.images.decode`.

        Raises:
            InvalidRequestError: as `bentos.serving.images.decode`; or the file ended two processes, one after the other.
        """
        plain = is_plain_jpeg(content, min(_PLAIN_PIXELS, self._limits.max_image_pixels))
        async with self._turns:
            if plain:
                work = self._threads.submit(_sent, self._read, content, self._limits, where, box)
                return await asyncio.wrap_future(work)
            for _ in range(_ATTEMPTS):
                process = self._idle.pop() if self._idle else _start(self._limits)
                try:
                    work = process.submit(_read_in_time, self._read, content, self._limits, where, box)
                    sent = await asyncio.wrap_future(work)
                except BrokenProcessPool:
                    process.shutdown(wait=False)
                except BaseException:  # a refused image, or a caller who has gone: the process goes on
                    self._idle.append(process)
                    raise
                else:
                    self._idle.append(process)
                    return sent
        raise InvalidRequestError(
            f"{where} took more than {self._limits.decode_seconds} seconds, or too much memory, to decode",
            hint="scale it down first, or save it again with another program",
        )

    def close(self) -> None:
        """End the threads, and the processes that wait for work."""
        self._threads.shutdown(wait=False)
        while self._idle:
            self._idle.pop().shutdown()


def _start(limits: ServingSettings) -> ProcessPoolExecutor:
    """A process of its own: one that ends would end the work of all others in its pool."""
    memory = _OTHER_BYTES + _BYTES_PER_PIXEL * limits.max_image_pixels
    return ProcessPoolExecutor(1, get_context("spawn"), _begin, (os.getpid(), memory))


def _begin(parent: int, memory_bytes: int) -> None:
    # The service handles an interrupt; this process watches the service, because a killed one cannot stop it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with(parent)
    os.nice(_NICE)
    log_json_lines()  # also what a library warns of
    # Only Linux counts what the process has already; elsewhere the limit is a little tighter.
    begun_with = getattr(psutil.Process().memory_info(), "data", 0)
    resource.setrlimit(resource.RLIMIT_DATA, (begun_with + memory_bytes,) * 2)


def _sent(read: Read, content: bytes, limits: ServingSettings, where: str, box: Box | None) -> SentImage:
    return SentImage.of(read(content, limits, where, box))


def _read_in_time(read: Read, content: bytes, limits: ServingSettings, where: str, box: Box | None) -> SentImage:
    # Unhandled, the alarm ends the process, also in the middle of a library's code, where an exception could not be raised.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(limits.decode_seconds)
    try:
        return _sent(read, content, limits, where, box)
    finally:
        signal.alarm(0)
