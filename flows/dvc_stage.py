"""Bring one stage of the working copy in the current folder up to date, through DVC's Python API.

    python -m flows.dvc_stage STAGE --result FILE

`flows.stages` runs this in a separate process and reads from the result file whether anything was done.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from aura.artifact import write_json
from aura.error_file import ERROR_FILE, report_error
from aura.errors import BusyError, told_storage_error

FAILED = 1
"""Exit code of a stage that failed; the stage's own process may have left an error file."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="flows.dvc_stage", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("stage")
    parser.add_argument("--result", type=Path, required=True, help='JSON file to write: {"ran": true or false}')
    parser.add_argument("--force", action="store_true", help="run it also when nothing has changed")
    parser.add_argument("--no-run-cache", action="store_true", help="do not bring an earlier result back instead")
    options = parser.parse_args(arguments)

    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    from flows.dvc_command import isolate_libgit2

    isolate_libgit2()
    try:
        with Repo(_wait_for_lock=True) as repo:  # of a stage beside this one, which holds it for seconds
            repo.scm_context.quiet = True  # the night adds files to Git itself
            done = repo.reproduce(
                options.stage, single_item=True, force=options.force, run_cache=not options.no_run_cache
            )
    except LockError as error:
        return report_error(BusyError(f"another DVC process holds the working copy: {error}", hint="wait for it"))
    except (DvcException, OSError) as error:
        cause: BaseException | None = error
        while cause is not None:
            print(f"dvc: {cause}", file=sys.stderr)
            told = told_storage_error(cause) if isinstance(cause, OSError) else None
            if (
                told is not None and not Path(os.environ.get(ERROR_FILE, "")).is_file()
            ):  # the stage's own error is worth more
                return report_error(told)
            cause = cause.__cause__
        if isinstance(error, OSError):
            raise
        return FAILED
    write_json(options.result, {"ran": bool(done)})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
