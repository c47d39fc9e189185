"""A PostgreSQL server under the home folder, for a run that was given none. As a process:

    python -m stores.local_server FOLDER

It is initialised once, listens on a Unix socket alone and admits the account that runs it, by the system's word (`peer`). A
server that dies is started again. Two such processes of one folder take turns: the second waits until the first has ended, and
clients of both reach the server that runs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg import sql

from aura.errors import DatabaseUnavailableError, StartError
from aura.private_home import keep_private
from aura.supervision import watched, watched_environment
from stores.postgres_programs import copied, program
from stores.ready import wait_until_ready

DATABASE = "aura"
_PAUSE_SECONDS = 1.0
_STOP_SECONDS = 20.0
_SERVER_ACCOUNTS = ("postgres", "nobody")
"""Accounts for the server of a run by root, which PostgreSQL refuses to be."""
_OPTIONS = {
    "listen_addresses": "",
    # What people have typed stays out of the log: statements that fail, and the values in the details of an error.
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "max_connections": "100",
}
_DATA = "/proc/self/fd/{}"


class LocalServer:
    """The server of a folder, as its clients find it.

    Args:
        folder: holds the data, `home()/postgres` for a run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # A socket's path may have 107 characters, and a home any number.
        name = hashlib.sha256(f"{folder.resolve()} {os.getuid()}".encode()).hexdigest()[:16]
        self.sockets = Path(tempfile.gettempdir()) / f"aura-postgres-{name}"

    def url(self, database: str = DATABASE) -> str:
        """Address of a database of it."""
        account = _server_account()
        peer = account.pw_name if account else _user()  # a server of anybody else is refused
        return f"postgresql:///{database}?{urlencode({'host': self.sockets, 'user': _user(), 'requirepeer': peer})}"

    @contextmanager
    def running(self, seconds: float, log: Path) -> Iterator[str]:
        """Hold while the server runs, and its database is there; gives the address.

        Raises:
            StartError: it cannot be started here.
            DatabaseUnavailableError: it does not accept connections within `seconds`.
        """
        program("postgres")  # the process would only log that there is none
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as stream:
            process = subprocess.Popen(
                watched("stores.local_server", str(self.folder)), stdout=stream, stderr=subprocess.STDOUT,
                env=watched_environment(), start_new_session=True,
            )  # fmt: skip
        try:
            self._wait(process, seconds, log)
            self._create_database()
            yield self.url()
        finally:
            process.terminate()
            try:
                process.wait(_STOP_SECONDS + 5)
            except subprocess.TimeoutExpired:
                process.kill()

    def _wait(self, process: subprocess.Popen[bytes], seconds: float, log: Path) -> None:
        limit = time.monotonic() + seconds
        while time.monotonic() < limit and process.poll() is None:
            with suppress(DatabaseUnavailableError):
                wait_until_ready(self.url("postgres"), 1.0)
                return
        if process.poll() is not None:
            raise StartError(f"the database server ended at its start; {log} says why")
        wait_until_ready(self.url("postgres"), 1.0)

    def _create_database(self) -> None:
        with (
            psycopg.connect(self.url("postgres"), autocommit=True) as connection,
            suppress(psycopg.errors.DuplicateDatabase, psycopg.errors.UniqueViolation),
        ):
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))


def serve(folder: Path) -> None:
    """Run the server of a folder until this process is told to end; waits for another one that does."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    server = LocalServer(folder)
    _own_folder(server.sockets)
    copies = server.sockets / "programs"
    shutil.rmtree(copies, ignore_errors=True)  # of a process that was killed
    try:
        data = _initialised(folder, copies)
        while True:
            # The lock goes along: it stays until the last process of this server has ended, should this one be killed.
            process = _spawn(data, ["postgres", "-k", str(server.sockets)], copies, lock, options=_OPTIONS)
            try:
                process.wait()
                print(f"the database server ended with code {process.returncode}, and is started again", flush=True)
            finally:
                _end(process)
            time.sleep(_PAUSE_SECONDS)
    finally:
        shutil.rmtree(server.sockets, ignore_errors=True)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.send_signal(signal.SIGINT)  # "fast": clients are cut off, what is committed is written
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)
        process.wait()


def _initialised(folder: Path, copies: Path) -> Path:
    """The data folder, made whole or not at all; `copies` as in `_spawn`."""
    data = folder / "data"
    if data.exists():
        return data
    scratch = folder / "data.creating"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    if (account := _server_account()) is not None:
        os.chown(scratch, account.pw_uid, account.pw_gid)
    initdb = _spawn(
        scratch,
        ["initdb", "-U", _user(), "--auth-local=peer", "--auth-host=reject", "--encoding=UTF8", "--locale=C",
         "--data-checksums", "--no-instructions"],
        copies,
    )  # fmt: skip
    if initdb.wait() != 0:
        raise StartError(f"initdb ended with code {initdb.returncode}")
    scratch.rename(data)
    return data


def _spawn(
    data: Path,
    command: Sequence[str],
    copies: Path,
    lock: int | None = None,
    options: dict[str, str] | None = None,
) -> subprocess.Popen[bytes]:
    """Start one of PostgreSQL's programs on a data folder, under an account that it accepts.

    That account could not pass through a private home by the folder's name: it gets the open folder. Programs that lie in such a
    home are copied to `copies`.
    """
    account = _server_account()
    handles = [] if lock is None else [lock]
    more: dict[str, Any] = {}
    place = str(data)
    if account is not None:
        handles.append(os.open(data, os.O_RDONLY | os.O_DIRECTORY))
        place = _DATA.format(handles[-1])
        more = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": [], "cwd": "/"}
    name, *arguments = command
    version = data / "PG_VERSION"  # the programs of another version refuse the data
    major = int(version.read_text()) if version.exists() else None
    settings = [part for key, value in (options or {}).items() for part in ("-c", f"{key}={value}")]
    path = program(name, major)
    if account is not None and not _may_run(path, account):
        path = copied(path, copies)
    try:
        return subprocess.Popen(
            [path, "-D", place, *arguments, *settings], pass_fds=handles, stdin=subprocess.DEVNULL,
            # Its own group: a Ctrl+C reaches it through this process, which ends it in order.
            process_group=0, **more,
        )  # fmt: skip
    except PermissionError as error:
        raise StartError(
            f"the account {account.pw_name if account else _user()} cannot run {error.filename}",
            hint="run as another account, or name a server in AURA_DATABASE_URL",
        ) from error
    finally:
        if account is not None:
            os.close(handles[-1])


def _may_run(path: Path, account: pwd.struct_passwd) -> bool:
    try:
        subprocess.run(
            [path, "--version"], user=account.pw_uid, group=account.pw_gid, extra_groups=[], cwd="/",
            stdout=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    except PermissionError:
        return False
    return True


def _server_account() -> pwd.struct_passwd | None:
    """Account that the server runs as, when it cannot be this one."""
    if os.geteuid() != 0:
        return None
    for name in _SERVER_ACCOUNTS:
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise StartError(
        f"root cannot run PostgreSQL itself, and none of the accounts {', '.join(_SERVER_ACCOUNTS)} exists",
        hint="run as another account, or name a server in AURA_DATABASE_URL",
    )


def _own_folder(folder: Path) -> None:
    """Make the folder of the sockets for the server's account alone, and refuse one that somebody else has put there."""
    account = _server_account()
    owner = account.pw_uid if account else os.geteuid()
    with suppress(FileExistsError):
        folder.mkdir(mode=0o700)
        if account is not None:
            os.chown(folder, account.pw_uid, account.pw_gid)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or stat.S_IMODE(found.st_mode) & 0o077:
        raise StartError(
            f"{folder} is not a private folder of {owner}", hint="remove it, or set TMPDIR to a folder of your own"
        )


def _user() -> str:
    """Name of this account, which is its role in the database."""
    return pwd.getpwuid(os.geteuid()).pw_name


def main() -> None:
    keep_private()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    serve(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
