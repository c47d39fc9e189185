"""Tables on a terminal of 80 columns: every number is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from aura.artifact import write_json
from aura.registry import CHALLENGER, CHAMPION, Registry
from aura.tracking import TrackingSettings
from flows.cli.app import app

METRICS = {
    "detection": ("ap50", 0.4331),
    "outfits": ("word_pairs_fitb_random_untitled", 0.1372),
    "chat": ("truthfulness", 0.1841),
}


@pytest.fixture
def registered(tmp_path: Path, own_home: Path) -> None:  # noqa: ARG001
    registry = Registry(TrackingSettings(), "sample")
    write_json(tmp_path / "artifact" / "config.json", {})
    for model, (metric, value) in METRICS.items():
        tags = {
            "candidate_id": model,
            "verdict": "kept champion",
            "gate_metric": metric,
            "test": f"auc=0.5, {metric}={value}",
        }
        version = registry.register(model, tmp_path / "artifact", run_id=None, tags=tags)
        registry.promote(model, version.version)
        registry.set_alias(model, CHALLENGER, version.version)


@pytest.mark.usefixtures("registered")
def test_versions_show_their_metric_on_80_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = CliRunner().invoke(app, ["models", "list"])
    assert done.exit_code == 0, done.output
    assert max(map(len, done.output.splitlines())) <= 80
    for metric, value in METRICS.values():
        assert metric[:10] in done.output
        assert f"{value:.3f}" in done.output
    assert done.output.count(CHAMPION) >= len(METRICS)
    assert done.output.count("kept") == len(METRICS)
