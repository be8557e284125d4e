// Package config reads the configuration of a deployment and reports
// everything that is wrong with it at once.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"go.yaml.in/yaml/v3"

	"dr-orchestrator/internal/guard"
)

// Config is what config.yaml says; the comments there explain each entry.
type Config struct {
	Account             string              `yaml:"account"`
	Prefix              string              `yaml:"prefix"`
	Primary             Region              `yaml:"primary"`
	Secondary           Region              `yaml:"secondary"`
	LogRetentionDays    int                 `yaml:"logRetentionDays"`
	CheckPlansMinutes   int                 `yaml:"checkPlansMinutes"`
	Notify              []string            `yaml:"notify"`
	PermissionsBoundary string              `yaml:"permissionsBoundary"`
	Tags                map[string]string   `yaml:"tags"`
	ReservedConcurrency map[string]int      `yaml:"reservedConcurrency"`
	Switches            []string            `yaml:"switches"`
	Resources           map[string][]string `yaml:"resources"`
	References          References          `yaml:"references"`
}

// SwitchAlarm names the alarm of a switch, which is the same in both regions.
func (c *Config) SwitchAlarm(name string) string { return c.Prefix + "-switch-" + name }

// Region is one side of the deployment.
type Region struct {
	Name       string          `yaml:"region"`
	Key        string          `yaml:"key"`
	VPC        *VPC            `yaml:"vpc"`
	CheckPlans []string        `yaml:"checkPlans"` // planwatch.Input
	Triggers   []guard.Trigger `yaml:"triggers"`
}

// VPC is where the functions of a region run, when not in Lambda's own.
type VPC struct {
	ID              string            `yaml:"id"`
	Subnets         []string          `yaml:"subnets"`
	SecurityGroups  []string          `yaml:"securityGroups"`
	RouteTables     []string          `yaml:"routeTables"`
	Endpoints       map[string]string `yaml:"endpoints"`
	CreateEndpoints bool              `yaml:"createEndpoints"`
}

// ByNAT is what VPC.Endpoints says of a service that is reached without an
// endpoint.
const ByNAT = "nat"

// NotReached is what VPC.Endpoints says of a service that the functions are to
// go without: whatever needs it fails.
const NotReached = "none"

// NoEndpoint are services that no interface endpoint of the region leads to,
// and why: only a NAT does.
var NoEndpoint = map[string]string{
	"route53":                  "its control plane is in us-east-1",
	"route53-recovery-cluster": "the endpoints of a cluster are in five regions",
}

// References are name patterns of what payloads may refer to.
type References struct {
	Parameters       []string `yaml:"parameters"`
	SecureParameters []string `yaml:"secureParameters"`
	Secrets          []string `yaml:"secrets"`
	Keys             []string `yaml:"keys"`
}

// Problems is everything that is wrong with a configuration.
type Problems []string

// Error lists the problems, one on a line.
func (p Problems) Error() string {
	return fmt.Sprintf("the configuration has %d problem(s):\n  - %s", len(p), strings.Join(p, "\n  - "))
}

// Read reads a configuration file. The result may still be wrong: see Check.
func Read(path string) (*Config, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, Problems{err.Error()}
	}
	return Parse(text)
}

// Parse decodes the text of a configuration, with the defaults put in. Its
// error is Problems; the configuration beside it holds what could be read.
func Parse(text []byte) (*Config, error) {
	c := &Config{Prefix: "dr-orchestrator", LogRetentionDays: 90, CheckPlansMinutes: 30}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	err := d.Decode(c)
	var mismatch *yaml.TypeError
	switch {
	case errors.Is(err, io.EOF):
	case errors.As(err, &mismatch):
		return c, Problems(mismatch.Errors)
	case err != nil:
		return c, Problems{err.Error()}
	}
	if d.Decode(&yaml.Node{}) != io.EOF {
		return c, Problems{"something follows the configuration: one document is read"}
	}
	// Nothing is to be failed over to the region that serves, and what brings
	// things back is not ready before they are over here.
	if c.Secondary.CheckPlans == nil {
		c.Secondary.CheckPlans = []string{"*", "!failback-*", "!switchback-*", "!release-*"}
	}
	for _, s := range c.sides() {
		for i, t := range s.region.Triggers {
			s.region.Triggers[i] = t.Normal()
		}
	}
	return c, nil
}

// side is a region with the name that the file gives it.
type side struct {
	name   string
	region *Region
}

func (c *Config) sides() []side {
	return []side{{"primary", &c.Primary}, {"secondary", &c.Secondary}}
}
