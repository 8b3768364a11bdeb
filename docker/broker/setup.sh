#!/bin/sh
# Makes what the broker and its clients need before they start. Passwords are made once and kept; the access list is
# written anew every time, so that it follows the namespace and the node's name.
#   /broker       mosquitto.conf finds its passwords and its access list here
#   /keys/NAME    one volume for each user, mounted by nobody else: the password as the file that Settings reads, and
#                 options for mosquitto_pub and mosquitto_sub, so that no password stands on a command line
set -eu
umask 077
broker_id=1883 client_id=10001
here=$(dirname "$0")

random() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }

keep_keys() { # NAME HOST OWNER
  folder=/keys/$1
  if [ ! -s "$folder/edgetune_mqtt__password" ]; then
    random >"$folder/edgetune_mqtt__password"
    echo "made a password for $1"
  fi
  password=$(cat "$folder/edgetune_mqtt__password")
  for tool in mosquitto_pub mosquitto_sub; do
    printf '%s\n' "-h $2" "-u $1" "-P $password" >"$folder/$tool"
  done
  chown -R "$3:$3" "$folder"
  echo "$1:$password" >>/broker/passwords.new
}

rm -f /broker/passwords.new
for user in node machine node2 machine2 operator home_assistant; do
  keep_keys $user broker $client_id
done
keep_keys health 127.0.0.1 $broker_id
mosquitto_passwd -U /broker/passwords.new
mv /broker/passwords.new /broker/passwords
sh "$here/acl.sh" "$EDGETUNE_NAMESPACE" "$EDGETUNE_NODE_ID" "$EDGETUNE_NODE2_ID" >/broker/acl
chown "$broker_id:$broker_id" /broker /broker/passwords /broker/acl
