// Package policy evaluates identity-based IAM policies, as far as the policies
// of this product go: Allow statements with actions and resources that may
// hold wildcards, and conditions that compare with StringEquals.
package policy

import (
	"regexp"
	"slices"
	"strings"
)

// Statement allows actions on resources, under conditions: for each key one of
// the values must be that of the call.
type Statement struct {
	Actions    []string
	Resources  []string
	Conditions map[string][]string
}

// Context is what a call says of condition keys, as in kms:ViaService.
type Context map[string]string

// Policy is everything that one role may do.
type Policy []Statement

// Allows reports whether the policy allows an action, service:Operation, on a
// resource. Action names compare without case, as IAM does. A key that the call
// says nothing of meets no condition.
func (p Policy) Allows(action, resource string, context Context) bool {
	for _, s := range p {
		if matchesAny(s.Actions, action, true) && matchesAny(s.Resources, resource, false) && s.meets(context) {
			return true
		}
	}
	return false
}

func (s Statement) meets(context Context) bool {
	for key, values := range s.Conditions {
		if said, ok := context[key]; !ok || !slices.Contains(values, said) {
			return false
		}
	}
	return true
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
		kept := Statement{Resources: s.Resources, Conditions: s.Conditions}
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
