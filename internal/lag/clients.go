package lag

import (
	"fmt"
	"time"
)

// Clients are the connections from outside to an RDS instance. They are no lag,
// and are judged as one: a second of it is a connection, and what has no fresh
// datapoint is not known. RDS does not count its own (RDS user guide, metrics).
func Clients(instance string) Metric {
	return clients("DBInstanceIdentifier", instance)
}

// ClientsOfCluster are those of the instance of an Aurora cluster that has most.
func ClientsOfCluster(cluster string) Metric {
	return clients("DBClusterIdentifier", cluster)
}

func clients(dimension, id string) Metric {
	return Metric{Namespace: "AWS/RDS", Name: "DatabaseConnections", Unit: time.Second, Of: Dimension{dimension, []string{id}}, Alone: true, Highest: true}
}

// Deserted reports whether nobody is connected, for certain; why tells what
// speaks against it.
func (r Reading) Deserted() (ok bool, why string) {
	switch {
	case !r.Known:
		return false, "whether clients are connected to it is not known (" + r.why() + ")"
	case r.Lag > 0:
		return false, fmt.Sprintf("clients are connected to it (%g)", r.Lag.Seconds())
	}
	return true, ""
}
