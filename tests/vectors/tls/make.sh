#!/usr/bin/env bash
# Makes the certificates beside this script anew: `tests/vectors/tls/make.sh`, needs openssl 3. Tests only read the files,
# so that they need no openssl. Keys and certificates open nothing: no machine but the tests' own servers uses them.
#
# root signs all but unknown, other_ca and self_signed (chained and lonely by way of intermediate); the keys of the CAs are
# thrown away. Good for a hundred years, except expired (the year 2001) and future (from 2120 on). server.key belongs to
# all certificates of servers, server_rsa.key to rsa. The files of servers hold what the server sends.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
out=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

HERE='subjectAltName=DNS:localhost,DNS:csms.localhost,IP:127.0.0.1,IP:::1'
SERVER='extendedKeyUsage=serverAuth'
NOW=20260101000000Z
CENTURY=21251231235959Z

cat >ca.cnf <<'CNF'
[ca]
default_ca = here
[here]
new_certs_dir = .
database = index
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
CNF
: >index

key() { openssl genpkey -quiet -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1.key"; }

# issue NAME KEY COMMON_NAME ISSUER FROM UNTIL EXTENSION…; the issuer "self" makes a certificate that signs itself
issue() {
    local name=$1 key=$2 common=$3 issuer=$4 from=$5 until=$6
    shift 6
    printf '%s\n' "$@" >extensions
    openssl req -new -key "$key.key" -subj "/CN=$common" -out "$name.csr"
    local signer=(-cert "$issuer.crt" -keyfile "$issuer.key")
    [ "$issuer" != self ] || signer=(-selfsign -keyfile "$key.key")
    openssl ca -batch -notext -config ca.cnf "${signer[@]}" -in "$name.csr" -out "$name.crt" \
        -startdate "$from" -enddate "$until" -extfile extensions 2>errors || { cat errors >&2; exit 1; }
}

AUTHORITY=('basicConstraints=critical,CA:true' 'keyUsage=critical,keyCertSign,cRLSign' 'subjectKeyIdentifier=hash')
for name in root unknown intermediate server; do key $name; done
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out server_rsa.key
issue root root 'Test Root' self $NOW $CENTURY "${AUTHORITY[@]}"
issue unknown unknown 'Unknown Root' self $NOW $CENTURY "${AUTHORITY[@]}"
issue intermediate intermediate 'Test Intermediate' root $NOW $CENTURY "${AUTHORITY[@]}"

issue good server localhost root $NOW $CENTURY "$HERE" "$SERVER"
issue rsa server_rsa localhost root $NOW $CENTURY "$HERE" "$SERVER"
issue chained server localhost intermediate $NOW $CENTURY "$HERE" "$SERVER"
issue other_ca server localhost unknown $NOW $CENTURY "$HERE" "$SERVER"
issue other_name server csms.example root $NOW $CENTURY 'subjectAltName=DNS:csms.example,IP:192.0.2.1' "$SERVER"
issue common_name server localhost root $NOW $CENTURY "$SERVER"
issue client server localhost root $NOW $CENTURY "$HERE" 'extendedKeyUsage=clientAuth'
issue expired server localhost root 20000101000000Z 20011231235959Z "$HERE" "$SERVER"
issue future server localhost root 21200101000000Z $CENTURY "$HERE" "$SERVER"
issue self_signed server localhost self $NOW $CENTURY "$HERE" "$SERVER"

cat intermediate.crt >>chained.crt
cp chained.crt whole
openssl x509 -in whole -out lonely.crt # the same server, which forgets to send its intermediate certificate
for name in root unknown intermediate good rsa chained lonely other_ca other_name common_name client expired future \
    self_signed; do
    cp "$name.crt" "$out/$name.pem"
done
cp server.key server_rsa.key "$out"
chmod 644 "$out"/*.pem "$out"/*.key
