#!/bin/sh
# Prints the broker's access list for a namespace, its nodes and their users: acl.sh NAMESPACE NODE [NODE2]
# Who may do what is the MQTT contract turned round: what a node publishes only the node may write, what it obeys only
# the operator may write, and the machine can do nothing but deliver samples. The users of NODE2 are node2 and machine2.
set -eu
said="state classification fault sign_start sign vibration emg spectrum model calibration resp/#"
namespace=$1 first=$1/$2 second=${3:+$1/$3}

line() { # NODE USER MACHINE
  cat <<END

user $2
topic read $1/#
topic write $1/status
topic write $1/info
topic write $1/health
topic write $1/resp/#
END
  for leaf in $said; do
    echo "topic write $1/+/$leaf"
  done
  echo "topic readwrite homeassistant/device/+/config"
  for kind in NBIRTH NDATA NDEATH; do
    echo "topic write spBv1.0/+/$kind/${1##*/}"
  done
  for kind in DBIRTH DDATA DDEATH; do
    echo "topic write spBv1.0/+/$kind/${1##*/}/+"
  done
  for own in NCMD/${1##*/} DCMD/${1##*/}/+ NBIRTH/${1##*/} NDEATH/${1##*/}; do
    echo "topic read spBv1.0/+/$own"
  done
  cat <<END
topic read spBv1.0/STATE/+

# A sensor's gateway or a simulated machine.
user $3
topic write $1/+/samples
topic write $1/+/context
topic read $1/+/calibration
topic read $1/+/simulator
topic write $1/+/simulator/state
END
}

echo "# Written by docker/broker/acl.sh at every start; change it there."
line "$first" node machine
[ -z "$second" ] || line "$second" node2 machine2
cat <<END

# The operator and the SCADA: hear everything, command every node of the namespace.
user operator
topic read $namespace/#
topic write $namespace/+/cmd/+
topic write $namespace/+/+/cmd/+
topic write $namespace/+/+/context
topic write $namespace/+/+/simulator
topic read spBv1.0/#
topic write spBv1.0/+/NCMD/+
topic write spBv1.0/+/DCMD/+/+
topic write spBv1.0/STATE/+

# Home Assistant: hears what nodes say and how they announce themselves, and presses the two buttons.
user home_assistant
topic read homeassistant/#
END
for leaf in status info health resp/#; do
  echo "topic read $namespace/+/$leaf"
done
for leaf in $said; do
  echo "topic read $namespace/+/+/$leaf"
done
cat <<END
topic write $namespace/+/+/cmd/acknowledge
topic write $namespace/+/+/cmd/recalibrate

user health
topic read \$SYS/broker/uptime
END
