"""A certificate for a gateway that was given none: it signs itself, so traffic is encrypted though nobody vouches for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from aura.artifact import write_text
from aura.secret_files import write_secret_bytes

_DAYS, _RENEWED_DAYS_BEFORE = 397, 30
"""Browsers refuse longer ones (CA/Browser Forum, Ballot SC31)."""


def own_certificate(folder: Path, names: Sequence[str]) -> tuple[Path, Path]:
    """Certificate and key in a folder, made where there are none for these names, or theirs is near its end."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    if not _is_good(certificate, key, names):
        folder.mkdir(parents=True, exist_ok=True)
        private = ec.generate_private_key(ec.SECP256R1())
        write_secret_bytes(
            key,
            private.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )
        signed = _signed(private, names)
        write_text(certificate, signed.public_bytes(serialization.Encoding.PEM).decode())
    return certificate, key


def _signed(key: ec.EllipticCurvePrivateKey, names: Sequence[str]) -> x509.Certificate:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # clocks differ
        .not_valid_after(now + timedelta(days=_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _is_good(certificate: Path, key: Path, names: Sequence[str]) -> bool:
    try:
        found = x509.load_pem_x509_certificate(certificate.read_bytes())
        private = serialization.load_pem_private_key(key.read_bytes(), password=None)
        held = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound):
        return False
    renewed_at = found.not_valid_after_utc - timedelta(days=_RENEWED_DAYS_BEFORE)
    is_its_key = private.public_key() == found.public_key()
    return is_its_key and list(held) == [_general_name(name) for name in names] and datetime.now(UTC) < renewed_at
