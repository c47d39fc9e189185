"""MLflow's server with a page that opens on model training: `mlflow server --app-name aura`, one of MLflow's app plugins.

The page keeps in the browser whether it shows model training or applications of language models. In a browser that has not
chosen yet it would show the latter, whatever the experiments are marked as, and an assistant over a quarter of the page.
"""

from __future__ import annotations

import json
from pathlib import Path

from mlflow.server import app as flask_app
from mlflow.server.fastapi_app import app
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Route

_FIRST_CHOICE = {
    "mlflow.workflowType_v1": json.dumps("machine_learning"),
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": json.dumps(True),
}
"""Keys of the page in the browser's storage, and what a person finds there at first; what they choose later stays."""


def _index(request: Request) -> HTMLResponse:  # noqa: ARG001
    page = (Path(str(flask_app.static_folder)) / "index.html").read_text(encoding="utf-8")
    script = f"""<script>
      for (const [key, value] of Object.entries({json.dumps(_FIRST_CHOICE)}))
        if (localStorage.getItem(key) === null) localStorage.setItem(key, value);
    </script>"""
    return HTMLResponse(page.replace("<head>", f"<head>{script}", 1))


app.router.routes.insert(0, Route("/", _index))  # before MLflow's own, which is mounted last
