#!/usr/bin/env bash
# Makes the certificates beside this script anew: `tests/vectors/x509/make.sh`, needs openssl 3. Roots with keys of other
# kinds than the station's own, and what each signed. Keys are thrown away; good for a hundred years.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root() { # NAME HASH genpkey-options
    local name=$1 hash=$2
    shift 2
    openssl genpkey -quiet "$@" -out "$work/$name.key"
    openssl req -x509 -new -key "$work/$name.key" -"$hash" -subj "/O=Test/CN=Root $name" -days 36500 -out "$name.pem" \
        -addext 'basicConstraints=critical,CA:true' -addext 'keyUsage=critical,keyCertSign'
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null -subj "/CN=by $name" \
        -out "$work/csr" 2>/dev/null
    openssl x509 -req -in "$work/csr" -CA "$name.pem" -CAkey "$work/$name.key" -"$hash" -days 36500 \
        -out "by_$name.pem" 2>/dev/null
}
root rsa2048 sha256 -algorithm RSA -pkeyopt rsa_keygen_bits:2048
root rsa3072 sha512 -algorithm RSA -pkeyopt rsa_keygen_bits:3072
root p384 sha384 -algorithm EC -pkeyopt ec_paramgen_curve:P-384
root rsa1024 sha256 -algorithm RSA -pkeyopt rsa_keygen_bits:1024
root ed25519 sha256 -algorithm ED25519
