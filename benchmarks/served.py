"""Servers that a benchmark starts, of this code or of an earlier commit, and the memory that they take."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from aura.paths import home, repo_root
from aura.supervision import watched, watched_environment
from flows.processes import free_port, stop, wait_until_healthy
from flows.services import SERVICES

_START_SECONDS = 180.0
_CHOOSING = "inference.engines.chosen"
"""Modules whose name begins so run beside a service until they have chosen an engine."""


@dataclass(frozen=True, kw_only=True)
class Server:
    """A running server.

    Attributes:
        url: what the paths of its requests are appended to.
    """

    name: str
    url: str
    process: subprocess.Popen[bytes]

    def peak_mb(self) -> float:
        """Largest resident memory of each of its processes so far, added up; memory that they share counts for each."""
        return sum(_peak_kb(process.pid) for process in self._family()) / 1024

    def memory_mb(self) -> float:
        """Resident memory of its processes now, added up."""
        total = 0
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total / 1e6

    def cpu_seconds(self) -> float:
        """Processor time that its processes have taken so far."""
        total = 0.0
        for process in self._family():
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def process_ids(self) -> set[int]:
        """Ids of its processes that must not end."""
        return lasting(self._family())

    def _family(self) -> list[psutil.Process]:
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]


def lasting(processes: Iterable[psutil.Process]) -> set[int]:
    """Ids of those that no service ends itself; one that chooses an engine ends when it has chosen."""
    found = set()
    for process in processes:
        with suppress(psutil.Error):
            if not any(part.startswith(_CHOOSING) for part in process.cmdline()):
                found.add(process.pid)
    return found


@contextmanager
def service(name: str, label: str, profile: str, work: Path, code: Path | None = None) -> Iterator[Server]:
    """One of our services with the champions of a profile.

    Args:
        name: row of `flows.services.SERVICES`.
        label: what the server is called, here and in the name of its log.
        work: folder for its log and for BentoML's files.
        code: checkout to take the code from; None: this one.
    """
    # Answers that are kept would measure the cache. Earlier code keeps none.
    kept_answers = {} if code else {"AURA_SERVING__CACHE_SECONDS": "0"}
    port, code = free_port(), code or repo_root()
    environment = watched_environment() | {
        "AURA_HOME": str(home()), "AURA_PROFILE": profile, "BENTOML_HOME": str(work / f"bentoml-{label}"),
        "BENTOML_DO_NOT_TRACK": "true", "PYTHONPATH": str(code), **kept_answers,
    }  # fmt: skip
    command = watched("flows.bento_server", "serve", SERVICES[name].target, "--host", "127.0.0.1", "--port", str(port))
    url = f"http://127.0.0.1:{port}{SERVICES[name].path}"
    with _started(command, environment, code, f"{url}/health", work / f"{label}.log") as process:
        yield Server(name=label, url=url, process=process)


@contextmanager
def plain_server(artifact: Path, work: Path) -> Iterator[Server]:
    """`benchmarks.plain_server` with the weights of an artifact."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.plain_server", str(artifact), str(port)]
    environment = watched_environment() | {"PYTHONPATH": str(repo_root())}
    url = f"http://127.0.0.1:{port}"
    with _started(command, environment, repo_root(), f"{url}/health", work / "plain.log") as process:
        yield Server(name="plain", url=url, process=process)


def code_of(commit: str, work: Path) -> Path:
    """A folder with the code of a commit, as `git archive` writes it."""
    folder = work / f"code-{commit}"
    if not folder.is_dir():
        packed = subprocess.run(["git", "archive", commit], cwd=repo_root(), check=True, capture_output=True).stdout
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            archive.extractall(folder, filter="data")
    return folder


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], folder: Path, health_url: str, log: Path
) -> Iterator[subprocess.Popen[bytes]]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT, env=dict(environment), cwd=folder, start_new_session=True
        )
    try:
        wait_until_healthy(health_url, process, log, _START_SECONDS)
        time.sleep(1)  # what a start leaves to do
        yield process
    finally:
        stop(process)


def _peak_kb(pid: int) -> int:
    """`VmHWM` of Linux; elsewhere what is resident now."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        with suppress(psutil.NoSuchProcess):
            return int(psutil.Process(pid).memory_info().rss // 1024)
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:")), 0)
