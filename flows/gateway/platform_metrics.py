"""What Prometheus is told about a machine of Aura beside its services: `/metrics` of the platform's health.

The parts that have no metrics of their own, the database, the disk, the certificate, and what nights have left in files
(`flows/night_metrics.py`).
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from cryptography import x509
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from psycopg.pq import Ping

from stores.ready import state

logger = logging.getLogger(__name__)


class PlatformCollector(Collector):
    """Metrics as they are at the moment of a question.

    Args:
        home: whose disk is watched.
        textfiles: folder of files in Prometheus' text format.
        certificate: PEM file of the gateway.
        database_url: address of the database; empty: this machine has none.
        parts: name, group and whether it is a service, to whether it answers.
    """

    def __init__(
        self,
        *,
        home: Path,
        textfiles: Path,
        certificate: Path,
        database_url: str,
        parts: dict[tuple[str, str, bool], bool],
    ) -> None:
        self._home, self._textfiles, self._certificate = home, textfiles, certificate
        self._database_url, self._parts = database_url, parts

    def collect(self) -> Iterator[Metric]:
        yield from _of_files(sorted(self._textfiles.glob("*.prom")))
        parts = GaugeMetricFamily(
            "aura_part_up", "Whether a part of the platform answers", labels=("part", "group", "is_service")
        )
        for (name, group, is_service), answers in self._parts.items():
            parts.add_metric((name, group, str(is_service).lower()), float(answers))
        yield parts
        if self._database_url:
            is_up = state(self._database_url) == Ping.OK
            yield GaugeMetricFamily("aura_database_up", "Whether PostgreSQL accepts connections", value=float(is_up))
        disk = GaugeMetricFamily("aura_disk_bytes", "The disk of the home folder", labels=("kind",))
        usage = shutil.disk_usage(self._home)
        # As `df` counts: what the system keeps for root is neither used nor available.
        disk.add_metric(("used",), usage.used)
        disk.add_metric(("available",), usage.free)
        yield disk
        try:
            end = x509.load_pem_x509_certificate(self._certificate.read_bytes()).not_valid_after_utc
        except (OSError, ValueError) as error:
            logger.warning("the gateway's certificate cannot be read: %s", error)
        else:
            yield GaugeMetricFamily(
                "aura_certificate_end_timestamp_seconds", "Until when the gateway's certificate is valid",
                value=end.timestamp(),
            )  # fmt: skip


def _of_files(files: Iterable[Path]) -> Iterator[Metric]:
    """The metrics in files; those of one name, from several profiles, as one family."""
    families: dict[str, Metric] = {}
    for file in files:
        try:
            found = list(text_string_to_metric_families(file.read_text(encoding="utf-8")))
        except (OSError, ValueError) as error:
            logger.warning("%s holds no metrics: %s", file, error)
            continue
        for family in found:
            if family.name in families:
                families[family.name].samples.extend(family.samples)
            else:
                families[family.name] = family
    yield from families.values()
