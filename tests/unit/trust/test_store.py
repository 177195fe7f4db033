"""Keys, roots and passwords as files: closed to others, whole, and damaged ones left aside."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from agent.core.security_model import CertificateUse
from agent.trust.certificate import certificates
from agent.trust.request import requested
from agent.trust.store import PASSWORD, Passwords, Store
from simulators.csms.certificates import Authority

CENTRAL, MANUFACTURER = CertificateUse.CENTRAL_SYSTEM, CertificateUse.MANUFACTURER
NOW = datetime.now(UTC)


def take(store: Store, authority: Authority, begins: datetime) -> str:
    """Have a certificate signed that begins then; returns its fingerprint."""
    made = requested("WB-1", "Acme")
    store.put_request(made.key)
    chain = certificates(authority.sign(made.csr, (begins, begins + timedelta(days=300))))
    store.put_own(chain)
    return chain[0].fingerprint


def test_what_is_kept_is_found_again_and_closed_to_others(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store, authority = Store(tmp_path), Authority.new()
        (root,) = certificates(authority.pem)
        store.put_root(CENTRAL, root)
        store.put_root(MANUFACTURER, root)
        store.put_passwords(Passwords(b"\xff\x00new", b"old"))
        own = take(store, authority, NOW)
    finally:
        os.umask(old)
    held = Store(tmp_path).load()
    assert held.central == held.manufacturer == (root,)
    assert held.passwords == Passwords(b"\xff\x00new", b"old")
    assert [one.certificate.fingerprint for one in held.own] == [own]
    assert not held.requested
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    assert "new" not in repr(held)


def test_what_is_dropped_is_gone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    (root,) = certificates(Authority.new().pem)
    store.put_root(CENTRAL, root)
    store.put_passwords(Passwords(b"x"))
    store.put_request("key")
    store.drop_root(CENTRAL, root)
    store.drop_root(CENTRAL, root)
    store.drop_passwords()
    store.drop_request()
    assert not list(tmp_path.iterdir())


def test_damaged_files_are_left_aside(tmp_path: Path) -> None:
    for name in (PASSWORD, "root_central_1.pem", "station_1.pem", "station_1.key"):
        (tmp_path / name).write_bytes(b"\xff{}")
    held = Store(tmp_path).load()
    assert (held.passwords, held.central, held.own) == (Passwords(), (), ())


def test_the_certificate_that_begins_last_comes_last_and_old_ones_go_after_a_month(tmp_path: Path) -> None:
    store, authority = Store(tmp_path), Authority.new()
    begins = [NOW - timedelta(days=days) for days in (10, 100, 40)]
    marks = dict(zip((10, 100, 40), (take(store, authority, at) for at in begins), strict=True))
    assert [one.certificate.fingerprint for one in store.load().own] == [marks[100], marks[40], marks[10]]
    store.sweep(NOW)
    assert [one.certificate.fingerprint for one in store.load().own] == [marks[40], marks[10]]
    assert len(list(tmp_path.iterdir())) == 4
