"""The supervisor of `aura up`: supervisord, which starts parts again when they end and rotates their logs.

supervisord (PyPI) rather than circus, which BentoML brings: its commands come over a Unix socket in a private folder without code
of ours, logs rotate by configuration, and it needs no event loop. As a process:

    python -m flows.platform.supervisor CONFIGURATION
"""

from __future__ import annotations

import hashlib
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
from supervisor import supervisord

from aura.artifact import write_text
from aura.errors import BusyError, StartError
from aura.secret_files import write_secret
from aura.supervision import end_by_force, family_of
from flows.logs import KEPT, LOG_BYTES, last_lines, open_log
from flows.platform.part import SET_CHILD_SUBREAPER, Part, prctl

_STOP_SECONDS, _LEFT_SECONDS = 90.0, 20.0


class Supervisor:
    """supervisord of a home folder.

    Args:
        folder: its configuration and what it runs, `home()/up`.
        logs: one log per part.
    """

    def __init__(self, folder: Path, logs: Path) -> None:
        self.folder, self.logs = folder, logs
        self._configuration, self._pid_file = folder / "supervisord.conf", folder / "supervisord.pid"

    def process(self) -> psutil.Process | None:
        """The running supervisord."""
        try:
            found = psutil.Process(int(self._pid_file.read_text()))
            is_it = str(self._configuration) in found.cmdline() and found.status() != psutil.STATUS_ZOMBIE
        except (OSError, ValueError, psutil.Error):
            return None
        return found if is_it else None

    def refuse_second(self) -> None:
        """Raises BusyError: it runs already."""
        if self.process():
            raise BusyError("everything is up already", hint="`aura parts` shows it, `aura down` stops it")

    def start(self, parts: Sequence[Part], seconds: float = 30.0) -> None:
        """Start it with parts; it goes on when this process has ended.

        Raises:
            BusyError: it runs already.
            StartError: it ended at once.
        """
        self.refuse_second()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.logs.mkdir(parents=True, exist_ok=True)
        for left in (*self.folder.glob("*.group"), *self.folder.glob("*.json"), self._pid_file):
            left.unlink(missing_ok=True)
        for part in parts:
            write_secret(self.folder / f"{part.name}.json", part.model_dump_json())
        write_text(self._configuration, self._written(parts))
        log = self.logs / "supervisord.log"
        with open_log(log) as stream:
            process = subprocess.Popen(
                [sys.executable, "-m", "flows.platform.supervisor", str(self._configuration)],
                stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, start_new_session=True,
            )  # fmt: skip
        limit = time.monotonic() + seconds
        while not self.process():
            if process.poll() is not None or time.monotonic() > limit:
                raise StartError(f"supervisord did not start:\n{last_lines(log)}", hint=f"the whole log: {log}")
            time.sleep(0.1)

    def stop(self) -> bool:
        """Stop it with everything that it started, also what has lost its parent; False when it did not run."""
        process = self.process()
        if process is None:
            return False
        family = family_of(process.pid)
        process.terminate()
        with suppress(psutil.TimeoutExpired):
            process.wait(_STOP_SECONDS)
        # What had lost its parent is nobody's to stop: a database server whose keeper was killed writes what it has, and ends.
        for left in family:
            with suppress(psutil.NoSuchProcess):
                left.terminate()
        end_by_force(family, after_seconds=_LEFT_SECONDS)
        return True

    def control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run supervisorctl."""
        command = [sys.executable, "-m", "supervisor.supervisorctl", "-c", str(self._configuration), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def _written(self, parts: Sequence[Part]) -> str:
        socket = _socket_folder(self.folder) / "control"
        programs = "".join(self._program(part) for part in parts)
        return f"""; Written by `aura up`. Each part's command and environment: {_escaped(self.folder)}/PART.json
[unix_http_server]
file={_escaped(socket)}
chmod=0600
[supervisord]
nodaemon=true
silent=true
pidfile={_escaped(self._pid_file)}
logfile=/dev/stdout
logfile_maxbytes=0
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://{_escaped(socket)}
{programs}"""

    def _program(self, part: Part) -> str:
        command = [sys.executable, "-m", "flows.platform.part", str(self.folder / f"{part.name}.json")]
        return f"""
[program:{part.name}]
command={_escaped(shlex.join(command))}
priority={part.priority}
autorestart=true
startsecs=2
startretries=1000000
stopwaitsecs={part.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile={_escaped(self.logs / part.name)}.log
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups={KEPT}
"""


def _escaped(value: object) -> str:
    return str(value).replace("%", "%%")


def _socket_folder(folder: Path) -> Path:
    """A private folder with a short path: a socket's may have 107 characters, and a home any number."""
    name = hashlib.sha256(f"{folder.resolve()} {os.getuid()}".encode()).hexdigest()[:16]
    found = Path(tempfile.gettempdir()) / f"aura-up-{name}"
    found.mkdir(mode=0o700, exist_ok=True)
    if found.is_symlink() or found.stat().st_uid != os.geteuid() or found.stat().st_mode & 0o077:
        raise StartError(f"{found} is not a private folder of this account", hint="remove it")
    return found


def main() -> None:
    # What has lost its parent becomes a child of this process, so that `stop` finds it.
    prctl(SET_CHILD_SUBREAPER, 1)
    supervisord.main(["-n", "-c", sys.argv[1]])


if __name__ == "__main__":
    main()
