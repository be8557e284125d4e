package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"dr-orchestrator/internal/guard"
)

type downtimeCommand struct {
	For    *time.Duration `help:"How long, for example 90m or 2h. At most a week."`
	Reason string         `help:"Why; whoever is told of a trigger reads it."`
	End    bool           `help:"End the maintenance now."`
	Name   string         `default:"dr-orchestrator" help:"Prefix of the deployment."`
	JSON   bool           `name:"json" help:"Print one JSON object."`
	remoteFlags
}

// Help says what a downtime is.
func (c *downtimeCommand) Help() string {
	return `While a maintenance is declared, no trigger of the region starts anything, and
nobody is told of one. What is still red at its end, and not for too long, counts again.
Runs that people start are not held up. Without --for and --end it tells what is declared.

Examples:
  drctl downtime --for 2h --reason "patching the orders database" --region us-west-2
  drctl downtime --region us-west-2
  drctl downtime --end --region us-west-2`
}

// mostDowntime bounds what somebody may forget to end.
const mostDowntime = 7 * 24 * time.Hour

// check looks at the flags, and tells all that is wrong with them at once.
func (c *downtimeCommand) check() error {
	var wrong []string
	if c.For != nil && (*c.For <= 0 || *c.For > mostDowntime) {
		wrong = append(wrong, fmt.Sprintf("--for %s: want more than nothing and at most %s", *c.For, mostDowntime))
	}
	switch {
	case c.End && (c.For != nil || c.Reason != ""):
		wrong = append(wrong, "--end takes neither --for nor --reason")
	case (c.For == nil) != (c.Reason == ""):
		wrong = append(wrong, "--for and --reason go together")
	}
	if len(wrong) > 0 {
		return wrongInput("%s", strings.Join(wrong, "\n"))
	}
	return nil
}

func (c *downtimeCommand) Run(s streams, at clock) error {
	if err := c.check(); err != nil {
		return err
	}
	ctx, cancel := interruptible()
	defer cancel()
	r, err := c.connect(ctx, "", at)
	if err != nil {
		return err
	}
	memory, now := c.memory(r, c.Name), at.Now()
	declared, err := memory.Downtime(ctx)
	if err != nil {
		return told("looking at the declared maintenance", err)
	}
	if c.End || c.For != nil {
		who, err := r.caller(ctx)
		if err != nil {
			return err
		}
		next := guard.Downtime{Until: now, By: who.String(), Reason: "ended"}
		if c.For != nil {
			next.Until, next.Reason = now.Add(*c.For), c.Reason
		}
		if err := memory.Declare(ctx, next, now); err != nil {
			return told("declaring the maintenance", err)
		}
		declared = &next
	}
	return tellDowntime(s, r.region, declared, now, c.JSON)
}

// tellDowntime tells what is declared for a region.
func tellDowntime(s streams, region string, d *guard.Downtime, now time.Time, asJSON bool) error {
	var out struct {
		Region string     `json:"region"`
		Active bool       `json:"active"`
		Until  *time.Time `json:"until"`
		By     string     `json:"by"`
		Reason string     `json:"reason"`
	}
	out.Region = region
	if d != nil && d.Until.After(now) {
		until := d.Until.UTC().Truncate(time.Second)
		out.Active, out.Until, out.By, out.Reason = true, &until, d.By, d.Reason
	}
	if asJSON {
		if err := json.NewEncoder(s.out).Encode(out); err != nil {
			return environment("%w", err)
		}
		return nil
	}
	if !out.Active {
		fmt.Fprintf(s.out, "No maintenance is declared in %s: triggers count.\n", region)
		return nil
	}
	fmt.Fprintf(s.out, "Maintenance in %s until %s: triggers start nothing.\nDeclared by %s: %s\n", region, out.Until.Format(time.RFC3339), out.By, out.Reason)
	return nil
}
