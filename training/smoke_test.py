"""Run the smoke test of an artifact, by the name of its model:

python -m training.smoke_test detection ARTIFACT --device cpu
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from inference.smoke_test import run
from training.models import MODELS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="training.smoke_test", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", choices=MODELS)
    options, rest = parser.parse_known_args(arguments)
    return run(MODELS[options.model].smoke_test, rest)


if __name__ == "__main__":
    raise SystemExit(main())
