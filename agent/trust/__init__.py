"""What the station trusts and is trusted by: roots, its own keys and certificates, its password, and the security log."""
