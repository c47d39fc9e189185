"""A step of a flow whose failure does not end the flow: it becomes a problem in the report."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from prefect import get_run_logger
from prefect.settings import PREFECT_API_URL

from aura.errors import AuraError, told_storage_error
from flows.prefect_errors import prefect_error


def guarded(name: str, work: Callable[[], Any], problems: dict[str, str]) -> Any:
    """What `work` returns; None where it raised, and `problems` has what went wrong under `name`."""
    try:
        return work()
    except AuraError as error:
        problems[name] = str(error)
        get_run_logger().error("%s failed: %s", name, error)
    except OSError as error:  # for example a full disk: no traceback needed
        problems[name] = str(told_storage_error(error) or f"{type(error).__name__}: {error}")
        get_run_logger().error("%s failed: %s", name, problems[name])
    except httpx.HTTPError as error:  # Prefect's client; the other clients have errors of ours
        told = prefect_error(error, PREFECT_API_URL.value())
        problems[name] = str(told or f"{type(error).__name__}: {error}")
        get_run_logger().error("%s failed: %s", name, problems[name])
    except Exception as error:  # a bug: the report must name it, and the other steps run
        problems[name] = f"{type(error).__name__}: {error}"
        get_run_logger().exception("%s failed", name)
    return None
