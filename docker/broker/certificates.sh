#!/bin/sh
# Makes an authority of this plant's own, and the broker's certificate by it:  certificates.sh FOLDER [NAME ...]
# NAMEs are the host names and addresses by which clients reach the broker, beside broker and this machine itself.
#   FOLDER/authority   ca.key, for this script alone
#   FOLDER/ca          ca.crt, for everybody that connects
#   FOLDER/broker      broker.key and broker.crt, for the broker alone
# It may run at every start: what is there and good is kept. The broker's certificate is made anew 60 days before its end
# and when the names change, by the same authority, so that no client needs another ca.crt. The authority is made once.
set -eu
umask 077
authority_days=7300 broker_days=800 renew_days=60
broker_id=1883
folder=$1
shift
key=$folder/authority/ca.key ca=$folder/ca/ca.crt
broker_key=$folder/broker/broker.key broker=$folder/broker/broker.crt names=$folder/broker/names

quietly() { # COMMAND: what it says is shown only where it fails
  said=$("$@" 2>&1) || { echo "$0: $1 $2 failed: $said" >&2; exit 1; }
}

good_for() { # CERTIFICATE DAYS
  openssl x509 -in "$1" -noout -checkend $(($2 * 86400)) >/dev/null 2>&1
}

ends() { # CERTIFICATE
  openssl x509 -in "$1" -noout -enddate | cut -d= -f2
}

make_authority() {
  quietly openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days $authority_days \
    -subj "/CN=Edgetune authority $(head -c 4 /dev/urandom | od -An -v -tx1 | tr -d ' \n')" \
    -addext "basicConstraints=critical,CA:TRUE,pathlen:0" -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$key.new" -out "$ca.new"
  mv "$ca.new" "$ca"
  mv "$key.new" "$key" # last: without it the authority counts as not made
}

make_broker_certificate() { # NAMES, as in a certificate
  quietly openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -subj "/CN=broker" \
    -keyout "$broker_key.new" -out "$broker.request"
  printf '%s\n' "subjectAltName=$1" "basicConstraints=critical,CA:FALSE" "keyUsage=critical,digitalSignature" \
    "extendedKeyUsage=serverAuth" "authorityKeyIdentifier=keyid" >"$broker.extensions"
  quietly openssl x509 -req -sha256 -days $broker_days -in "$broker.request" -CA "$ca" -CAkey "$key" \
    -set_serial "0x$(head -c 16 /dev/urandom | od -An -v -tx1 | tr -d ' \n' | sed 's/^./5/')" \
    -extfile "$broker.extensions" -out "$broker.new"
  rm "$broker.request" "$broker.extensions"
  mv "$broker_key.new" "$broker_key"
  mv "$broker.new" "$broker"
  echo "$1" >"$names" # last: without it the certificate counts as not made
}

wanted=DNS:broker,DNS:localhost,IP:127.0.0.1
for name; do
  case $name in
    '' | *[!A-Za-z0-9.:-]*) echo "$0: $name is neither a host name nor an address" >&2; exit 2 ;;
    *:* | *[0-9].*[0-9].*[0-9].*[0-9]) wanted=$wanted,IP:$name ;;
    *) wanted=$wanted,DNS:$name ;;
  esac
done

mkdir -p "$folder/authority" "$folder/ca" "$folder/broker"
if [ ! -s "$key" ]; then
  make_authority
  echo "made an authority"
elif ! good_for "$ca" $renew_days; then
  echo "$0: the authority ends at $(ends "$ca"). Remove $key and $ca, run this again, and give all clients the new ca.crt" >&2
  good_for "$ca" 0 || exit 1
fi
if [ "$(cat "$names" 2>/dev/null)" != "$wanted" ] || ! good_for "$broker" $renew_days ||
  ! openssl verify -CAfile "$ca" "$broker" >/dev/null 2>&1; then
  make_broker_certificate "$wanted"
  echo "made a certificate for $wanted"
fi
chmod 755 "$folder/ca"
chmod 644 "$ca"
[ "$(id -u)" != 0 ] || chown -R "$broker_id:$broker_id" "$folder/broker"
echo "the authority is good until $(ends "$ca"), the broker's certificate until $(ends "$broker")"
