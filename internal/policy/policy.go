// Package policy evaluates identity-based IAM policies, as far as the policies
// of this product go: Allow statements with actions and resources that may
// hold wildcards. Conditions are not evaluated.
package policy

import (
	"regexp"
	"strings"
)

// Statement allows actions on resources.
type Statement struct {
	Actions   []string
	Resources []string
}

// Policy is everything that one role may do.
type Policy []Statement

// Allows reports whether the policy allows an action, service:Operation, on a
// resource. Action names compare without case, as IAM does.
func (p Policy) Allows(action, resource string) bool {
	for _, s := range p {
		if matchesAny(s.Actions, action, true) && matchesAny(s.Resources, resource, false) {
			return true
		}
	}
	return false
}

// Actions lists every action that a policy names, as it stands there.
func (p Policy) Actions() []string {
	var all []string
	for _, s := range p {
		all = append(all, s.Actions...)
	}
	return all
}

// Without gives a copy of the policy that lacks one action.
func (p Policy) Without(action string) Policy {
	var out Policy
	for _, s := range p {
		kept := Statement{Resources: s.Resources}
		for _, a := range s.Actions {
			if a != action {
				kept.Actions = append(kept.Actions, a)
			}
		}
		out = append(out, kept)
	}
	return out
}

func matchesAny(patterns []string, text string, fold bool) bool {
	for _, p := range patterns {
		if matches(p, text, fold) {
			return true
		}
	}
	return false
}

// matches compares with IAM's wildcards: * is any run of characters, slashes
// and colons included, ? any single one.
func matches(pattern, text string, fold bool) bool {
	expression := regexp.QuoteMeta(pattern)
	expression = strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(expression)
	if fold {
		expression = "(?i)" + expression
	}
	return regexp.MustCompile(`^` + expression + `$`).MatchString(text)
}
