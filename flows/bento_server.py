"""`bentoml serve` whose control socket belongs to this account.

BentoML lets circus supervise its processes, and circus takes commands (stop, or run something else) on two TCP ports of the
loopback, from every account of the machine, without a setting to change that. Here both are Unix sockets in a folder that only
this account can enter:

    python -m flows.bento_server serve ...

It also keeps an idle connection for longer than its callers do. BentoML closes one after 5 seconds, which may be the instant in
which a caller sends its next request: nginx keeps one for 60 seconds and answers 502 to a POST that meets the end, as it must not
be sent twice. A runner closes those of its service as soon, and BentoML has a setting for the service's own server alone.
"""

from __future__ import annotations

import runpy
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from bentoml._internal.utils import circus

_KEEP_ALIVE_SECONDS = 75
_CHECK_SECONDS = 10
"""Between two looks at the processes; as in BentoML, whose function this replaces."""


def _own_arbiter(watchers: list[Any], *, threaded: bool = False, **options: Any) -> circus.Arbiter:
    for watcher in watchers:
        watcher.args = [*watcher.args, "--timeout-keep-alive", str(_KEEP_ALIVE_SECONDS)]
    kind = circus.ThreadedArbiter if threaded else circus.Arbiter
    folder = Path(tempfile.mkdtemp(prefix="aura-circus-"))  # mode 700
    arbiter = kind(
        watchers, endpoint=f"ipc://{folder / 'control'}", pubsub_endpoint=f"ipc://{folder / 'events'}",
        check_delay=options.pop("check_delay", _CHECK_SECONDS), **options,
    )  # fmt: skip
    arbiter.exit_stack.callback(shutil.rmtree, folder, ignore_errors=True)
    return arbiter


if __name__ == "__main__":
    # `serve` imports the function when it is called.
    circus.create_standalone_arbiter = _own_arbiter
    sys.argv[0] = "bentoml"
    runpy.run_module("bentoml", run_name="__main__", alter_sys=True)
