"""A Prefect server for a run that has none: started here, on SQLite under the home folder, and stopped at the end.

`PREFECT_API_URL` names a server that runs elsewhere; then nothing is started. Import this before anything imports Prefect:
the library reads its environment at import.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from aura.creation import creating
from aura.paths import home
from aura.supervision import watched, watched_environment
from flows.logs import open_log
from flows.prefect_errors import wait_for_server
from flows.processes import free_port, stop, wait_until_healthy

PREFECT_DATABASE_URL = "PREFECT_SERVER_DATABASE_CONNECTION_URL"
_SERVERS_PASSWORD, _CLIENTS_PASSWORD = "PREFECT_SERVER_API_AUTH_STRING", "PREFECT_API_AUTH_STRING"


def api_url(port: int) -> str:
    """Address of the API of a server started here."""
    return f"http://127.0.0.1:{port}/api"


def server_command(port: int) -> list[str]:
    """Command of a server on the home folder's store; give it `server_environment(port)`."""
    return watched("prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port))


def server_environment(port: int) -> dict[str, str]:
    """Environment of a server on `port`.

    Its page must be told where its API is: Prefect reads that from the settings, not from `--port`, and calls 4200 otherwise.
    """
    page = {"PREFECT_SERVER_UI_API_URL": api_url(port), "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false"}
    return watched_environment() | quiet_environment() | page


def quiet_environment() -> dict[str, str]:
    """Environment of everything of Prefect that runs on the home folder's store."""
    return {
        "PREFECT_HOME": str(home() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",  # keeps 90 days; without it every run
        "DO_NOT_TRACK": "1",
        "PREFECT_LOGGING_LEVEL": os.environ.get("PREFECT_LOGGING_LEVEL", "INFO"),
    }


@contextmanager
def prefect_api(start_seconds: float) -> Iterator[str]:
    """URL of a Prefect API, with the environment of this process pointing to it; one started here answers this account alone.

    Args:
        start_seconds: seconds within which a server started here must answer, and for which it waits for another one that is
            starting in the same home.

    Raises:
        StartError: it ended, or did not answer in time.
        BusyError: the other one has been starting for that long.
    """
    configured = os.environ.get("PREFECT_API_URL")
    if configured:
        wait_for_server(configured)
        yield configured
        return
    os.environ.update(quiet_environment())
    password = f"aura:{secrets.token_urlsafe(32)}"  # other accounts of this machine reach the port too
    log = home() / "logs" / "prefect-server.log"
    port = free_port()
    url = api_url(port)
    server: subprocess.Popen[bytes] | None = None
    try:
        with creating(home() / "prefect" / "prefect.db", start_seconds):
            with open_log(log) as stream:
                server = subprocess.Popen(
                    server_command(port), stdout=stream, stderr=subprocess.STDOUT, start_new_session=True,
                    env=server_environment(port) | dict.fromkeys((_SERVERS_PASSWORD, _CLIENTS_PASSWORD), password),
                )  # fmt: skip
            wait_until_healthy(f"{url}/health", server, log, start_seconds)
        os.environ |= {"PREFECT_API_URL": url, _CLIENTS_PASSWORD: password}
        yield url
    finally:
        if server is not None and server.poll() is None:
            _send_last_logs()
        for name in ("PREFECT_API_URL", _CLIENTS_PASSWORD):
            os.environ.pop(name, None)
        if server is not None:
            stop(server)


def _send_last_logs() -> None:
    """Flush Prefect's log queue: what it sends after the server has stopped ends as an error on the terminal."""
    if "prefect.logging.handlers" in sys.modules:
        from prefect.logging.handlers import APILogHandler

        APILogHandler().flush()
