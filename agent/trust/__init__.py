"""Whom the station trusts and how it proves itself: roots, keys, certificates, password; and the security log."""
