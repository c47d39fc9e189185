"""A service over real HTTP: BentoML's application, served by uvicorn in a thread of the test."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from _bentoml_impl.server.app import ServiceAppFactory
from starlette.types import ASGIApp


@contextmanager
def served(service: Any) -> Iterator[str]:
    """Address of a running service, without its path; the service must have no runner."""
    service.inject_config()
    # Without metrics: a process has one registry of them, and there are several services here.
    with listening(ServiceAppFactory(service, is_main=True, enable_metrics=False)()) as url:
        yield url


@contextmanager
def listening(app: ASGIApp) -> Iterator[str]:
    """Address of an application that uvicorn serves."""
    with socket.create_server(("127.0.0.1", 0)) as sockets:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sockets]})
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.01)
            yield f"http://127.0.0.1:{sockets.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join()
