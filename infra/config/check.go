package config

import (
	"fmt"
	"maps"
	"net/mail"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Facts is what a configuration is checked against.
type Facts struct {
	Regions   []string // that AWS has
	Functions []string // that the deployment consists of
	Kinds     []string // of resource, as in rds:db, that permissions name
	Services  []string // that the functions call, by the name of their endpoint
	Build     string   // folder of the built functions
}

var (
	accountForm  = regexp.MustCompile(`^\d{12}$`)
	prefixForm   = regexp.MustCompile(`^[a-z][a-z0-9-]{0,26}[a-z0-9]$`)
	keyForm      = regexp.MustCompile(`^arn:aws[a-z-]*:kms:([a-z0-9-]+):\d{12}:key/[A-Za-z0-9-]+$`)
	boundaryForm = regexp.MustCompile(`^(arn:aws[a-z-]*:iam::(\d{12}|aws):policy/)?[\w+=,.@/-]+$`)
	nameForm     = regexp.MustCompile(`^[A-Za-z0-9/_.+=@*?!-]+$`)
	endpointForm = regexp.MustCompile("^vpce-" + hexID + "$")
)

// hexID is how EC2 numbers things: 8 digits in old accounts, 17 since.
const hexID = `[0-9a-f]{8}([0-9a-f]{9})?`

// retentions are the periods that CloudWatch Logs accepts (PutRetentionPolicy).
var retentions = []int{1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653}

// checker collects problems.
type checker struct {
	Facts
	problems Problems
}

func (k *checker) add(format string, args ...any) {
	k.problems = append(k.problems, fmt.Sprintf(format, args...))
}

// Check reports everything that is wrong, as Problems.
func (c *Config) Check(facts Facts) error {
	k := &checker{Facts: facts}
	if !accountForm.MatchString(c.Account) {
		k.add("account: %q is not an account id: want 12 digits, in quotes", c.Account)
	}
	if !prefixForm.MatchString(c.Prefix) {
		k.add("prefix: %q: want 2 to 28 of a-z, 0-9 and hyphens, beginning with a letter", c.Prefix)
	}
	for _, s := range c.sides() {
		k.region(s)
	}
	if c.Primary.Name != "" && c.Primary.Name == c.Secondary.Name {
		k.add("secondary.region: %s is the primary region, too: want two regions", c.Secondary.Name)
	}
	if !slices.Contains(retentions, c.LogRetentionDays) {
		k.add("logRetentionDays: %d: want one of %s", c.LogRetentionDays, list(retentions))
	}
	// CloudWatch judges what comes less often than once a day as missing.
	if c.CheckPlansMinutes < 5 || c.CheckPlansMinutes > mostCheckMinutes {
		k.add("checkPlansMinutes: %d: want 5 to %d", c.CheckPlansMinutes, mostCheckMinutes)
	}
	for i, address := range c.Notify {
		if a, err := mail.ParseAddress(address); err != nil || a.Address != address {
			k.add("notify[%d]: %q is not an e-mail address", i, address)
		}
	}
	if c.PermissionsBoundary != "" && !boundaryForm.MatchString(c.PermissionsBoundary) {
		k.add("permissionsBoundary: %q is neither the name nor the ARN of a policy", c.PermissionsBoundary)
	}
	for _, name := range sorted(c.Tags) {
		if name == "" || strings.HasPrefix(strings.ToLower(name), "aws:") {
			k.add("tags: a tag cannot be named %q", name)
		}
	}
	for _, name := range sorted(c.ReservedConcurrency) {
		if !slices.Contains(k.Functions, name) {
			k.add("reservedConcurrency: there is no function %q: want one of %s", name, list(k.Functions))
		}
		// Zero would switch the function off, which shows only in a disaster.
		if c.ReservedConcurrency[name] < 1 {
			k.add("reservedConcurrency.%s: %d: want at least 1", name, c.ReservedConcurrency[name])
		}
	}
	k.names(c)
	k.switches(c)
	k.build()
	if len(k.problems) > 0 {
		return k.problems
	}
	return nil
}

func (k *checker) region(s side) {
	r := s.region
	switch {
	case r.Name == "":
		k.add("%s.region: is missing", s.name)
	case !slices.Contains(k.Regions, r.Name):
		k.add("%s.region: AWS has no region %q", s.name, r.Name)
	}
	if r.Key != "" {
		if m := keyForm.FindStringSubmatch(r.Key); m == nil {
			k.add("%s.key: %q is not the ARN of a KMS key", s.name, r.Key)
		} else if m[1] != r.Name {
			k.add("%s.key: is a key in %s: want one in %s, for a region must not need another", s.name, m[1], r.Name)
		}
	}
	if r.VPC != nil {
		k.vpc(s.name+".vpc", r.VPC)
	}
	k.payloads(s.name+".checkPlans", r.CheckPlans)
	k.triggers(s.name+".triggers", r)
}

// payloads looks at patterns of stored payloads.
func (k *checker) payloads(at string, patterns []string) {
	for i, pattern := range patterns {
		name := strings.TrimPrefix(pattern, "!")
		if _, err := path.Match(name, ""); err != nil || name == "" || strings.Contains(name, "/") {
			k.add("%s[%d]: %q is not the name of a stored payload, with * for what may differ, or one to leave out, after a !", at, i, pattern)
		}
	}
}

func (k *checker) vpc(at string, v *VPC) {
	k.ids(at+".id", "vpc-", []string{v.ID})
	k.ids(at+".subnets", "subnet-", v.Subnets)
	k.ids(at+".securityGroups", "sg-", v.SecurityGroups)
	var missing []string
	for _, service := range k.Services {
		if why := NoEndpoint[service]; why != "" {
			if at := at + ".endpoints." + service; v.Endpoints[service] != ByNAT && v.Endpoints[service] != NotReached {
				k.add("%s: %q: no endpoint in the region leads there, for %s: want %q where a NAT does, or %q where nothing does", at, v.Endpoints[service], why, ByNAT, NotReached)
			}
			continue
		}
		if v.Endpoints[service] == "" {
			missing = append(missing, service)
		}
	}
	if len(missing) > 0 && !v.CreateEndpoints {
		k.add("%s: has no endpoint for %s: name them in endpoints, or set createEndpoints", at, strings.Join(missing, ", "))
	}
	if (slices.Contains(missing, "s3") || slices.Contains(missing, "dynamodb")) && v.CreateEndpoints {
		k.ids(at+".routeTables", "rtb-", v.RouteTables)
	}
	for _, service := range sorted(v.Endpoints) {
		if !slices.Contains(k.Services, service) {
			k.add("%s.endpoints: nothing calls %q: want one of %s", at, service, list(k.Services))
		}
		if NoEndpoint[service] != "" {
			continue
		}
		if id := v.Endpoints[service]; id != ByNAT && !endpointForm.MatchString(id) {
			k.add("%s.endpoints.%s: %q: want vpce-... or %q", at, service, id, ByNAT)
		}
	}
}

func (k *checker) ids(at, prefix string, ids []string) {
	if len(ids) == 0 {
		k.add("%s: is missing", at)
	}
	for _, id := range ids {
		if ok, _ := regexp.MatchString("^"+prefix+hexID+"$", id); !ok {
			k.add("%s: %q: want %s...", at, id, prefix)
		}
	}
}

// mostCheckMinutes keeps two checks within a day, which is as far as an alarm
// looks back.
const mostCheckMinutes = 11 * 60

// mostTriggers is how many triggers a region can have: each has two rules, and
// an account has room for 100 on the default bus of a region.
const mostTriggers = 30

func (k *checker) triggers(at string, r *Region) {
	if len(r.Triggers) > mostTriggers {
		k.add("%s: %d: want at most %d", at, len(r.Triggers), mostTriggers)
	}
	seen := map[string]bool{}
	for i, t := range r.Triggers {
		where := fmt.Sprintf("%s[%d]", at, i)
		for _, problem := range t.Check() {
			k.add("%s.%s", where, problem)
		}
		if seen[t.Name] {
			k.add("%s.name: there is another trigger %q", where, t.Name)
		}
		seen[t.Name] = true
		for _, name := range t.Regions {
			switch {
			case name == r.Name:
				k.add("%s.regions: %s is where it fails over to: an issue there is no reason to", where, name)
			case !slices.Contains(k.Regions, name):
				k.add("%s.regions: AWS has no region %q", where, name)
			}
		}
		// Without a way out of the VPC every endpoint is silent.
		if r.VPC != nil && t.Confirm != nil && t.Confirm.Endpoint != "" && t.Confirm.Reference == "" {
			k.add("%s.confirm.reference: is missing: in a VPC, the guard's own silence has to be told from that of the endpoint", where)
		}
	}
}

func (k *checker) names(c *Config) {
	for _, kind := range sorted(c.Resources) {
		if !slices.Contains(k.Kinds, kind) {
			k.add("resources: no function touches a %q: want one of %s", kind, list(k.Kinds))
		}
		// An empty list reads as "none", and an IAM statement cannot say that.
		if len(c.Resources[kind]) == 0 {
			k.add("resources.%s: is empty: leave the kind out, or name patterns", kind)
		}
		k.patterns("resources."+kind, c.Resources[kind])
	}
	k.patterns("references.parameters", c.References.Parameters)
	k.patterns("references.secureParameters", c.References.SecureParameters)
	k.patterns("references.secrets", c.References.Secrets)
	for i, key := range c.References.Keys {
		if !keyForm.MatchString(key) {
			k.add("references.keys[%d]: %q is not the ARN of a KMS key", i, key)
		}
	}
}

// switchForm lets hyphens stand before letters only, so that no two names are
// the same where an output of the stack cannot have hyphens.
var switchForm = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z][a-z0-9]*)*$`)

// The limits of switches: CloudFormation's on outputs is far, Route 53 has room
// for 200 health checks in an account, and each switch takes one in each region.
const (
	mostSwitches   = 50
	longestSwitch  = 30
	shortestSwitch = 2
)

// alarms is the kind of resource that patterns narrow the switches by.
const alarms = "cloudwatch:alarm"

func (k *checker) switches(c *Config) {
	if len(c.Switches) > mostSwitches {
		k.add("switches: %d: want at most %d", len(c.Switches), mostSwitches)
	}
	for i, name := range c.Switches {
		if !switchForm.MatchString(name) || len(name) < shortestSwitch || len(name) > longestSwitch {
			k.add("switches[%d]: %q: want %d to %d of a-z, 0-9 and single hyphens, each part beginning with a letter", i, name, shortestSwitch, longestSwitch)
		}
		if slices.Index(c.Switches, name) < i {
			k.add("switches[%d]: there is another switch %q", i, name)
		}
		matches := func(pattern string) bool { ok, _ := path.Match(pattern, c.SwitchAlarm(name)); return ok }
		if patterns := c.Resources[alarms]; len(patterns) > 0 && !slices.ContainsFunc(patterns, matches) {
			k.add("switches[%d]: no pattern of resources.%s lets SetSwitch look at %s: add one", i, alarms, c.SwitchAlarm(name))
		}
	}
}

func (k *checker) patterns(at string, patterns []string) {
	for i, pattern := range patterns {
		if !nameForm.MatchString(pattern) {
			k.add("%s[%d]: %q is not a name, with * and ? for what may differ", at, i, pattern)
		}
	}
}

// build wants every function to be there: CDK would deploy an empty folder.
func (k *checker) build() {
	var missing []string
	for _, name := range k.Functions {
		info, err := os.Stat(filepath.Join(k.Build, name, "bootstrap"))
		if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
			missing = append(missing, name)
		}
	}
	if len(missing) > 0 {
		k.add("%s: %s not built: run `make functions`", k.Build, strings.Join(missing, ", "))
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func list[T any](items []T) string {
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = fmt.Sprint(item)
	}
	return strings.Join(texts, ", ")
}
