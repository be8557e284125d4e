// Package evidence holds what a preflight tells of a target beside what decides
// whether it may be driven: what it is, and what about it could spoil the day.
package evidence

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/keys"
)

// Details are what AWS shows of a target. What it does not show is empty or
// nil, and gives neither evidence nor a finding.
type Details struct {
	Version      string // of the engine
	Class        string // of the instance or the nodes
	Key          string // KMS key that encrypts it
	Protected    *bool  // deletion protection
	MultiAZ      *bool
	SubnetGroup  string
	SubnetStatus string // of the subnet group
	Pending      string // changes that wait for the maintenance window or a reboot
}

// Fill puts the details into the evidence of a preflight.
func (d Details) Fill(e action.Evidence) {
	for name, text := range map[string]string{
		"engineVersion": d.Version, "class": d.Class, "kmsKey": d.Key, "subnetGroup": d.SubnetGroup, "pending": d.Pending,
	} {
		if text != "" {
			e[name] = text
		}
	}
	for name, flag := range map[string]*bool{"deletionProtection": d.Protected, "multiAZ": d.MultiAZ} {
		if flag != nil {
			e[name] = *flag
		}
	}
}

// statusComplete is the status of a subnet group that can be used (RDS API
// reference, DBSubnetGroup).
const statusComplete = "Complete"

// Findings gives the warnings about a target. None of them is in the way: AWS
// carries the operation out all the same.
func (d Details) Findings(target string) []action.Finding {
	var all []action.Finding
	warn := func(format string, args ...any) {
		all = append(all, action.Finding{Verdict: action.VerdictWarning, Message: fmt.Sprintf(format, args...)})
	}
	if d.Protected != nil && !*d.Protected {
		warn("%s has no deletion protection, and is to become what the business runs on", target)
	}
	if d.SubnetStatus != "" && !strings.EqualFold(d.SubnetStatus, statusComplete) {
		warn("the subnet group %s of %s is %s", d.SubnetGroup, target, d.SubnetStatus)
	}
	if d.Pending != "" {
		warn("changes of %s are pending and may be applied on the way: %s", target, d.Pending)
	}
	return all
}

// Report puts details, warnings and the look at the key into a preflight's
// answer. A target that is at its goal, or on its way there, is left alone:
// nothing is going to be asked of it.
func (d Details) Report(ctx context.Context, source keys.Source, target, region string, ready *action.Readiness) {
	if ready.Observed == action.StateDone || ready.Observed == action.StateUnderWay {
		return
	}
	d.Fill(ready.Evidence)
	ready.Findings = append(ready.Findings, d.Findings(target)...)
	keys.Report(ctx, source, d.Key, region, ready)
}

// Versions warns where two views of one database name different engine
// versions. One that AWS does not show differs from nothing.
func Versions(target, version string, others map[string]string) []action.Finding {
	var different []string
	for name, other := range others {
		if version != "" && other != "" && other != version {
			different = append(different, other+" on "+name)
		}
	}
	if len(different) == 0 {
		return nil
	}
	slices.Sort(different)
	return []action.Finding{{Verdict: action.VerdictWarning, Message: "engine versions differ: " + strings.Join(different, ", ") + ", " + version + " on " + target}}
}
