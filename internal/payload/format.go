package payload

import "regexp"

// format is a form that the text of a parameter must have. The patterns keep
// to what Go and ECMAScript regular expressions share, since they go to the
// JSON Schema as they are.
type format struct {
	pattern *regexp.Regexp
	max     int  // characters, 0 for no limit of its own
	anyCase bool // AWS takes the name in any case for the same thing
	words   string
	example string
}

// Fragments of patterns. A name has no hyphen at its end and no two in a row.
const (
	namePattern   = `[A-Za-z](?:-?[A-Za-z0-9])*`
	regionPattern = `[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}`
	arnPattern    = `arn:(?:aws|aws-cn|aws-us-gov):rds:` + regionPattern + `:[0-9]{12}:`
	clockPattern  = `(?:[01][0-9]|2[0-3]):[0-5][0-9]`
	nameWords     = "letters, digits and hyphens, starting with a letter, without a double or final hyphen"
	labelPrefix   = `[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?`
	// ARC is one for all regions, so that its ARNs name none.
	recoveryPattern = `arn:(?:aws|aws-cn|aws-us-gov):route53-recovery-control::[0-9]{12}:`
	positivePrefix  = `[1-9][0-9]{0,8}`
)

// formats is the table of all formats by the name that the format tag uses.
var formats = map[string]format{
	"db-instance": {
		anyCase: true,
		pattern: regexp.MustCompile(`^` + namePattern + `$`), max: 63,
		words: "the identifier of a DB instance: 1 to 63 " + nameWords, example: "orders-replica",
	},
	"replica": {
		pattern: regexp.MustCompile(`^` + namePattern + `$`), max: 63,
		words: "the identifier of a DB instance, DB cluster or replication group: 1 to 63 " + nameWords, example: "orders-replica",
	},
	"db-cluster": {
		anyCase: true,
		pattern: regexp.MustCompile(`^` + namePattern + `$`), max: 63,
		words: "the identifier of a DB cluster: 1 to 63 " + nameWords, example: "orders-cluster",
	},
	"global-cluster": {
		anyCase: true,
		pattern: regexp.MustCompile(`^` + namePattern + `$`), max: 63,
		words: "the identifier of a global cluster: 1 to 63 " + nameWords, example: "orders-global",
	},
	"rds-instance-arn": {
		anyCase: true,
		pattern: regexp.MustCompile(`^` + arnPattern + `db:` + namePattern + `$`),
		words:   "the ARN of a DB instance", example: "arn:aws:rds:us-east-1:123456789012:db:orders",
	},
	"rds-cluster-arn": {
		anyCase: true,
		pattern: regexp.MustCompile(`^` + arnPattern + `cluster:` + namePattern + `$`),
		words:   "the ARN of a DB cluster", example: "arn:aws:rds:us-west-2:123456789012:cluster:orders",
	},
	"region": {
		pattern: regexp.MustCompile(`^` + regionPattern + `$`),
		words:   "an AWS region", example: "us-west-2",
	},
	"replication-group": {
		anyCase: true,
		pattern: regexp.MustCompile(`^` + namePattern + `$`), max: 40,
		words: "the ID of a replication group: 1 to 40 " + nameWords, example: "sessions",
	},
	"global-replication-group": {
		anyCase: true,
		pattern: regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`), max: 255,
		words: "the ID of a global replication group with its prefix: letters, digits and hyphens, starting with a letter", example: "ldgnf-sessions",
	},
	"hosted-zone": {
		pattern: regexp.MustCompile(`^[A-Z0-9]{1,32}$`),
		words:   "the ID of a Route 53 hosted zone: capital letters and digits", example: "Z0123456789ABCDEFGHIJ",
	},
	"dns-name": {
		pattern: regexp.MustCompile(`^(?:(?:\*|\\052)\.)?` + labelPrefix + `(?:\.` + labelPrefix + `)*\.?$`), max: 255,
		words: "a DNS name in full, with or without the final dot", example: "orders.example.com",
	},
	"percent": {
		pattern: regexp.MustCompile(`^(?:100|[1-9]?[0-9])$`),
		words:   "a percentage from 0 to 100", example: "50",
	},
	"requirement": {
		pattern: regexp.MustCompile(`^(?:rds-instance|rds-cluster|global-cluster)/` + namePattern + `$`),
		words:   "rds-instance/ID, rds-cluster/ID or global-cluster/ID", example: "rds-instance/orders-replica",
	},
	"backup-window": {
		pattern: regexp.MustCompile(`^` + clockPattern + `-` + clockPattern + `$`),
		words:   "a time window in UTC, hh24:mi-hh24:mi", example: "03:00-03:30",
	},
	"security-group": {
		pattern: regexp.MustCompile(`^sg-(?:[0-9a-f]{8}|[0-9a-f]{17})$`),
		words:   "the ID of a VPC security group", example: "sg-0123456789abcdef0",
	},
	"probe-url": {
		pattern: regexp.MustCompile(`^(?:https?://[^\s/?#@]+(?:[/?][^\s#]*)?|tcp://[^\s/:@]+:[0-9]{1,5})$`), max: 2000,
		words: "https://, http:// or tcp://HOST:PORT, without a user", example: "https://app.example.com/health",
	},
	"alarm-name": {
		pattern: regexp.MustCompile(`^[^\s,](?:[^\n,]*[^\s,])?$`), max: 255,
		words: "the name of a CloudWatch alarm, without commas", example: "orders-healthy",
	},
	"target-group-arn": {
		pattern: regexp.MustCompile(`^arn:(?:aws|aws-cn|aws-us-gov):elasticloadbalancing:` + regionPattern + `:[0-9]{12}:targetgroup/[A-Za-z0-9-]{1,32}/[0-9a-f]{16}$`),
		words:   "the ARN of a target group", example: "arn:aws:elasticloadbalancing:us-west-2:123456789012:targetgroup/orders/0123456789abcdef",
	},
	"health-check-id": {
		pattern: regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`),
		words:   "the ID of a Route 53 health check", example: "0a1b2c3d-4e5f-6789-abcd-0123456789ab",
	},
	"event-source": {
		pattern: regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`),
		words:   "the UUID of an event source mapping, or the name of a function", example: "orders-consumer",
	},
	"event-rule": {
		pattern: regexp.MustCompile(`^(?:[A-Za-z0-9._/-]{1,256}/)?[A-Za-z0-9._-]{1,64}$`),
		words:   "the name of an EventBridge rule, NAME or BUS/NAME", example: "orders-cleanup",
	},
	"event-schedule": {
		pattern: regexp.MustCompile(`^(?:[A-Za-z0-9._-]{1,64}|[A-Za-z0-9._-]{1,64}/(?:\*|[A-Za-z0-9._-]{1,64}))$`),
		words:   "the name of a schedule, NAME or GROUP/NAME, or GROUP/* for all of a group", example: "nightly/orders-report",
	},
	"cluster-endpoint": {
		pattern: regexp.MustCompile(`^` + regionPattern + `=https://[^\s,=]+$`),
		words:   "an endpoint of an ARC cluster, REGION=URL", example: "us-east-1=https://0a1b2c3d.route53-recovery-cluster.us-east-1.amazonaws.com/v1",
	},
	"routing-control-arn": {
		pattern: regexp.MustCompile(`^` + recoveryPattern + `controlpanel/[A-Za-z0-9-]+/routingcontrol/[A-Za-z0-9-]+$`),
		words:   "the ARN of a routing control", example: "arn:aws:route53-recovery-control::123456789012:controlpanel/0a1b/routingcontrol/2c3d",
	},
	"access-point-arn": {
		pattern: regexp.MustCompile(`^arn:aws:s3::[0-9]{12}:accesspoint/[a-z0-9]+\.mrap$`),
		words:   "the ARN of a Multi-Region Access Point, with its alias", example: "arn:aws:s3::123456789012:accesspoint/m0a1b2c3d4e5f.mrap",
	},
	"safety-rule-arn": {
		pattern: regexp.MustCompile(`^` + recoveryPattern + `controlpanel/[A-Za-z0-9-]+/safetyrule/[A-Za-z0-9-]+$`),
		words:   "the ARN of a safety rule", example: "arn:aws:route53-recovery-control::123456789012:controlpanel/0a1b/safetyrule/4e5f",
	},
	"positive-seconds": {
		pattern: regexp.MustCompile(`^` + positivePrefix + `$`),
		words:   "a whole number of seconds, 1 or more", example: "900",
	},
}

func (f format) matches(text string) bool {
	return f.pattern.MatchString(text) && (f.max == 0 || len(text) <= f.max)
}
