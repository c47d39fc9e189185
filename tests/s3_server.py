"""A real S3 server on a free port, which a test may stop and start again: moto, with its objects in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import BaseWSGIServer, make_server

from flows.processes import free_port

BUCKET = "aura"


class _Quiet(MotoRequestHandler):
    def log_request(self, *_: object) -> None:
        pass


class S3Server:
    """One bucket; it keeps its objects while it is stopped."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server: BaseWSGIServer | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs; AWS's own variables."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        }  # fmt: skip

    def client(self) -> boto3.client:
        return boto3.client(
            "s3", endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1", aws_access_key_id="test",
            aws_secret_access_key="test",
        )  # fmt: skip

    def upload(self, folder: Path, uri: str) -> None:
        """What `aws s3 sync FOLDER URI` does."""
        prefix = uri.removeprefix(f"s3://{BUCKET}/")
        client = self.client()
        for file in filter(Path.is_file, folder.rglob("*")):
            client.upload_file(str(file), BUCKET, f"{prefix}/{file.relative_to(folder).as_posix()}")

    def start(self) -> None:
        # One request at a time: moto looks and writes in two steps, and two writers could both pass `If-None-Match`.
        application = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", self.port, application, request_handler=_Quiet)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def is_running(self) -> bool:
        return self._server is not None

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """A running server with the bucket `BUCKET`."""
    server = S3Server()
    server.start()
    try:
        server.client().create_bucket(Bucket=BUCKET)
        yield server
    finally:
        server.stop()
