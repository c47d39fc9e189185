"""Ports: a server is not started where another one answers."""

from __future__ import annotations

import socket

import pytest

from aura.errors import ServiceError
from flows.processes import free_port, require_free


def test_a_taken_port_is_refused_with_the_setting_that_moves_it() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        with pytest.raises(ServiceError, match=str(port)) as caught:
            require_free("127.0.0.1", port, "visual_analysis", "serving.ports.visual_analysis")
    assert "serving.ports.visual_analysis=PORT" in caught.value.hint


def test_a_free_port_and_one_closed_a_moment_ago_are_taken() -> None:
    port = free_port()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as every server does
        listener.bind(("127.0.0.1", port))
        listener.listen()
        with socket.create_connection(("127.0.0.1", port)):
            listener.accept()[0].close()  # the server closes first, so that its side waits out the connection
    require_free("127.0.0.1", port, "mlflow", "none")
