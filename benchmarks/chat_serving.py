"""The chat service under load, as it is served: one caller, eight at once, idle sockets, cancelled answers, SIGTERM.

    python -m benchmarks.chat_serving [--profile sample] [--page docs/benchmarks/chat_serving.md]

It starts the conversational service from the champions of a finished night (`AURA_HOME`) with `aura serve`, and asks the held-out
questions of the repository over WebSockets. The tokens of answers in the model's own words are counted in this process, from
the same champion, since the small base of the sample profile quotes where it is served.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import median
from typing import Any

import psutil
import torch
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from aura.artifact import write_text
from aura.paths import profile_paths, repo_root
from flows.processes import free_port, wait_until_healthy
from flows.services import SERVICES
from inference.chat.model import ChatModel
from inference.chat.settings import AnswerSettings

STREAMS = 8
_ANSWERS = 32
_IDLE = 200
_CANCELS = 10
_SERVICE = SERVICES["conversational_ai"]
_LONG_SECONDS = 120.0


@dataclass
class Load:
    """What callers met.

    Attributes:
        firsts, wholes: seconds from a question to its first words, and to its end.
        peak_mb: most memory of the service's processes together, in MB (resident set).
    """

    firsts: list[float] = field(default_factory=list)
    wholes: list[float] = field(default_factory=list)
    seconds: float = 0.0
    peak_mb: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.wholes) / self.seconds


def questions() -> list[str]:
    """Those of the test split that stand alone and are about clothes: each costs the model something."""
    lines = (repo_root() / "data" / "knowledge" / "questions" / "test.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [row["messages"][0]["content"] for row in rows if row["kind"] in ("answerable", "no")]


class Serving:
    """A running `aura serve`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self._stopped = False

    def stop(self) -> None:
        """Tell it to end, as Ctrl+C or a supervisor does. A second signal would interrupt the orderly end."""
        if not self._stopped:
            self._stopped = True
            self.process.send_signal(signal.SIGTERM)


@contextmanager
def service(profile: str, port: int, **settings: float) -> Iterator[Serving]:
    """The conversational service at a port."""
    values = {f"ports.{_SERVICE.name}": port, **settings}
    options = [f"--set=serving.{name}={value}" for name, value in values.items()]
    command = [sys.executable, "-m", "flows.cli.app", "serve", "--profile", profile, "--only", _SERVICE.name, *options]
    log = profile_paths(profile).logs / "benchmark-chat-serving.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, cwd=repo_root())
    serving = Serving(process)
    try:
        url = f"http://127.0.0.1:{port}{_SERVICE.path}"
        wait_until_healthy(_SERVICE.health_url(url), process, log, 180)
        yield serving
    finally:
        serving.stop()
        process.wait()


@contextmanager
def memory_of(serving: Serving, load: Load) -> Iterator[None]:
    """Note the most memory that the processes of a service have meanwhile."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.5):
            sizes = []
            for process in psutil.Process(serving.process.pid).children(recursive=True):
                try:
                    sizes.append(process.memory_info().rss)
                except psutil.NoSuchProcess:
                    continue
            load.peak_mb = max(load.peak_mb, sum(sizes) / 1e6)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        ended.set()
        watching.join()


def opened(port: int) -> connect:
    return connect(f"ws://127.0.0.1:{port}{_SERVICE.path}/ws/chat", proxy=None, open_timeout=60)


async def answered(socket: ClientConnection, question: str) -> tuple[float, float]:
    """Seconds to the first words of an answer, and to its end."""
    began, first = time.perf_counter(), 0.0
    await socket.send(json.dumps({"content": question}))
    while True:
        frame = json.loads(await asyncio.wait_for(socket.recv(), _LONG_SECONDS))
        if frame["type"] == "token":
            first = first or time.perf_counter() - began
        elif frame["type"] == "done":
            return first, time.perf_counter() - began
        elif frame["type"] == "error":
            raise RuntimeError(f"no answer: {frame['error']['message']}")


async def asked(port: int, callers: int, answers: int) -> Load:
    """Callers at once, each with one question after the other.

    Each question begins a conversation, on a socket of its own: in one conversation a short question would be taken for a
    follow-up, and be asked together with those before.
    """
    load = Load()
    waiting = iter([question for question, _ in zip(cycle(questions()), range(answers), strict=False)])

    async def caller() -> None:
        for question in waiting:
            async with opened(port) as socket:
                first, whole = await answered(socket, question)
            load.firsts.append(first)
            load.wholes.append(whole)

    began = time.perf_counter()
    await asyncio.gather(*(caller() for _ in range(callers)))
    load.seconds = time.perf_counter() - began
    return load


@asynccontextmanager
async def idle_sockets(port: int, count: int) -> AsyncIterator[list[ClientConnection]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(opened(port)) for _ in range(count)]


async def cancelled(port: int, count: int) -> list[float]:
    """Milliseconds from a cancel until its place is free, on a service with one: another caller's question is taken then."""
    found = []
    asked_next = cycle(questions())
    async with opened(port) as first, opened(port) as second:
        for _ in range(count):
            await first.send(json.dumps({"content": next(asked_next)}))
            assert json.loads(await first.recv())["type"] == "sources"
            began = time.perf_counter()
            await first.send(json.dumps({"type": "cancel"}))
            while json.loads(await first.recv())["type"] != "cancelled":
                pass
            found.append(1000 * (time.perf_counter() - began))
            await second.send(json.dumps({"content": next(asked_next)}))
            frame = json.loads(await second.recv())
            assert frame["type"] == "sources", frame
            while json.loads(await second.recv())["type"] != "done":
                pass
    return found


async def ended_while_answering(port: int, serving: Serving) -> tuple[int, list[int | None]]:
    """Answers that end whole after SIGTERM, of `STREAMS` that have begun; codes with which the sockets are closed."""
    whole = 0
    async with idle_sockets(port, STREAMS + 2) as sockets:
        for socket, question in zip(sockets[:STREAMS], cycle(questions())):
            await socket.send(json.dumps({"content": question}))
        for socket in sockets[:STREAMS]:
            assert json.loads(await socket.recv())["type"] == "sources"
        serving.stop()

        async def rest(socket: ClientConnection) -> str:
            last = ""
            try:
                while True:
                    last = json.loads(await socket.recv())["type"]
            except ConnectionClosed:
                return last

        ends = await asyncio.gather(*map(rest, sockets))
        whole = sum(end == "done" for end in ends)
        return whole, [socket.close_code for socket in sockets]


def tokens_per_second(profile: str, answers: int) -> float:
    """Tokens that the champion says in its own words, with so many answers at a time."""
    champion = ChatModel.load(profile_paths(profile).workspace / "champions" / "chat")
    model = ChatModel(
        champion.model, champion.tokenizer, prompt=champion.prompts.settings, generation=champion.generation,
        answers=AnswerSettings(way="free"),
    )  # fmt: skip
    conversations = [[{"role": "user", "content": question}] for question in questions()[: max(STREAMS, answers)]]

    def said(conversation: list[dict[str, str]]) -> int:
        return model.reply(conversation, max_new_tokens=48).new_tokens

    said(conversations[0])
    began = time.perf_counter()
    with ThreadPoolExecutor(answers) as pool:
        made = sum(pool.map(said, conversations))
    return made / (time.perf_counter() - began)


def percentile(values: Sequence[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def measured(profile: str) -> dict[str, Any]:
    port = free_port()
    found: dict[str, Any] = {"load": os.getloadavg()[0]}
    with service(profile, port) as serving:
        asyncio.run(asked(port, 1, 1))  # what is loaded at the first question
        for name, callers in (("new", 1), ("one", 1), ("eight", STREAMS)):
            note = Load()
            with memory_of(serving, note):
                found[name] = asyncio.run(asked(port, callers, _ANSWERS))
            found[name].peak_mb = note.peak_mb

        async def beside_idle() -> Load:
            async with idle_sockets(port, _IDLE):
                return await asked(port, STREAMS, _ANSWERS)

        found["idle"] = asyncio.run(beside_idle())
        found["whole"], found["codes"] = asyncio.run(ended_while_answering(port, serving))
    with service(profile, port, max_waiting_answers=1):
        asyncio.run(asked(port, 1, 2))
        found["cancels"] = asyncio.run(cancelled(port, _CANCELS))
    found["tokens"] = {answers: tokens_per_second(profile, answers) for answers in (1, 2, 4, STREAMS)}
    return found


def page(found: dict[str, Any], profile: str) -> str:
    one, eight, idle = found["one"], found["eight"], found["idle"]
    loads = [
        ("one at a time, whose sentences nobody met before", found["new"]),
        ("one at a time", one),
        (f"{STREAMS} at a time", eight),
        (f"{STREAMS} at a time beside {_IDLE} idle sockets", idle),
    ]
    rows = [
        f"| {name} | {load.rate:.2f} | {median(load.firsts):.2f} | {percentile(load.firsts, 0.95):.2f} "
        f"| {percentile(load.wholes, 0.95):.2f} | {f'{load.peak_mb:,.0f}' if load.peak_mb else ''} |"
        for name, load in loads
    ]
    tokens = found["tokens"]
    codes = sorted({str(code) for code in found["codes"]})
    return "\n".join(
        [
            "# The chat under load, measured",
            "",
            f"Written by `make bench-chat-serving` ({psutil.cpu_count()} cores, {platform.machine()}, no GPU, the champion of "
            f"the {profile} profile as `aura serve` serves it; callers on the same cores; threads: "
            f"{torch.get_num_threads()}, which passes at the same time share; load average of other work before it: "
            f"{found['load']:.1f}).",
            "",
            f"{_ANSWERS} held-out questions over WebSockets, each the first of its conversation. An answer quotes "
            "whole sentences, which are known all at once. What the model made of a sentence is kept: the first row asks after a "
            "start, the others ask the same questions again.",
            "",
            "| callers | answers/s | first words, median s | 95 % within s | whole answer, 95 % within s | peak memory MB |",
            "|---|---|---|---|---|---|",
            *rows,
            "",
            f"{STREAMS} at a time: {eight.rate / one.rate:.2f} times the answers of one at a time.",
            "",
            "## In the model's own words",
            "",
            "The same model generating, 48 tokens per answer; the answers share each pass through it.",
            "",
            "| answers at a time | tokens/s | times one |",
            "|---|---|---|",
            *(f"| {count} | {rate:.1f} | {rate / tokens[1]:.2f} |" for count, rate in tokens.items()),
            "",
            "## Cancelled, and ended",
            "",
            f"From a cancel until the answer's place is free and the next caller's question taken, where there is one place: "
            f"median {median(found['cancels']):.0f} ms, most {max(found['cancels']):.0f} ms ({_CANCELS} cancels).",
            "",
            f"SIGTERM with {STREAMS} answers under way: {found['whole']} ended whole; the sockets, two idle ones included, were "
            f"closed with {' and '.join(codes)} (1012: the service restarts, connect again).",
            "",
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="sample")
    parser.add_argument("--page", type=Path, default=repo_root() / "docs" / "benchmarks" / "chat_serving.md")
    options = parser.parse_args()
    text = page(measured(options.profile), options.profile)
    write_text(options.page, text)
    print(text)


if __name__ == "__main__":
    main()
