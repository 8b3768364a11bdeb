#!/bin/sh
# Prints the broker's access list for a namespace, a node and its user: acl.sh NAMESPACE NODE
# Who may do what is the MQTT contract turned round: what a node publishes only the node may write, what it obeys only
# the operator may write, and the machine can do nothing but deliver samples.
set -eu
namespace=$1 node=$1/$2

cat <<END
# Written by docker/broker/acl.sh at every start; change it there.

user node
topic read $node/#
topic write $node/status
topic write $node/info
topic write $node/health
topic write $node/resp/#
END
for leaf in state classification fault sign vibration model calibration resp/#; do
  echo "topic write $node/+/$leaf"
done
cat <<END

# A sensor's gateway or a simulated machine.
user machine
topic write $node/+/samples
topic write $node/+/context
topic read $node/+/calibration
topic read $node/+/simulator
topic write $node/+/simulator/state

# The operator and the SCADA: hear everything, command every node of the namespace.
user operator
topic read $namespace/#
topic write $namespace/+/cmd/+
topic write $namespace/+/+/cmd/+
topic write $namespace/+/+/context
topic write $namespace/+/+/simulator

user health
topic read \$SYS/broker/uptime
END
