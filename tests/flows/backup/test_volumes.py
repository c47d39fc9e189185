"""A restore into a home whose folders are volumes of their own, as containers have them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from aura.paths import repo_root

_NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]
_RESTORE = (
    "import sys; from pathlib import Path; from flows.backup.contents import place; place(*map(Path, sys.argv[1:]))"
)
_SCRIPT = 'mount --bind "$5" "$2/pictures" && "$3" -c "$4" "$1" "$2" && mountpoint "$2/pictures" && cat "$2/pictures/ada/1.jpg"'


def test_a_volume_stays_where_it_is_and_is_filled(tmp_path: Path) -> None:
    folder, home, volume = tmp_path / "backup", tmp_path / "home", tmp_path / "volume"
    volume.mkdir()
    for name in ("pictures/ada/1.jpg", "reports/latest.md"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text(name, encoding="utf-8")
    (home / "pictures").mkdir(parents=True)
    done = subprocess.run(
        [*_NAMESPACE, "sh", "-c", _SCRIPT, "sh", folder, home, sys.executable, _RESTORE, volume],
        cwd=repo_root(), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("pictures/ada/1.jpg")
    assert (home / "reports" / "latest.md").read_text(encoding="utf-8") == "reports/latest.md"
    assert (volume / "ada" / "1.jpg").exists(), "it lies in the volume, which is on the same disk, as Docker's are"
    assert not (home / "pictures" / "ada").exists()
