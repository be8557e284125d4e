// Package lab is a simulated AWS account with two or more regions. It speaks
// the AWS wire protocols, so that any AWS client can be pointed at it; it runs
// the very state machine definition that is deployed, and the very handlers;
// and it breaks on purpose, in the ways that AWS breaks.
package lab

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"dr-orchestrator/internal/run"
)

// Account is the account: its estate, its objects, its executions, and the
// count of what was asked of it.
type Account struct {
	Estate *Estate
	Calls  map[string]int // every API call, by service:Operation

	clock     *Clock
	random    *rand.Rand
	faults    *faults
	before    map[string]any // state of a thing from before its last change
	history   []*Operation   // operations begun in this lab
	log       []LoggedCall
	policies  Policies     // nil: everything is allowed
	used      map[Use]bool // permissions that functions made use of
	invoked   map[string]int
	raise     func(function string, event []byte) string // makes an invocation fail with an error; nil: none does
	onCall    func()                                     // sees every API call that arrives; nil: nobody does
	reads     map[string]*bucket                         // what is left of the describe limits, by region/service
	objects   map[string][]byte
	fresh     map[string]bool // objects nobody has read yet
	items     map[string]map[string]any
	functions *functions
	runs      *executions
	events    []Event
	notices   []Notice

	zoneTokens   float64 // requests to Route 53 that are free
	zoneTokensAt time.Time
	dns          *rand.Rand // which of weighted records answers

	rules       []FunctionRule
	undelivered []error
	endpoints   map[string]bool
	metrics     bytes.Buffer // what functions have written in the embedded format
}

// LoggedCall is one API call that got through to the account.
type LoggedCall struct {
	Time   time.Time
	Region string
	Name   string // service:Operation
}

// Event is one event that was put on EventBridge.
type Event struct {
	Region     string   `json:"region"`
	Source     string   `json:"source"`
	DetailType string   `json:"detailType"`
	Detail     string   `json:"detail"`
	Resources  []string `json:"resources,omitempty"`
}

// Call is one AWS API call as the account sees it.
type Call struct {
	Service    string // IAM prefix: rds, s3, states, …
	Operation  string
	Region     string
	Params     params
	Body       []byte
	invocation *invocation // the function that makes it; nil: somebody else
	stale      bool        // answer with the state from before the last change
	notFound   bool        // what was just created is not found yet
	stuck      bool        // the operation that it begins never ends
	cancelled  bool        // the operation that it begins goes back to the start
}

func (c *Call) name() string { return c.Service + ":" + c.Operation }

func (c *Call) owner() string {
	if c.invocation == nil {
		return ""
	}
	return c.invocation.owner
}

// Failure is an AWS error as it goes over the wire.
type Failure struct {
	Status  int
	Code    string
	Message string
	Detail  map[string]any // further members of a JSON error
}

// Error makes a Failure an error.
func (f *Failure) Error() string { return f.Code + ": " + f.Message }

func fail(status int, code, format string, args ...any) *Failure {
	return &Failure{Status: status, Code: code, Message: fmt.Sprintf(format, args...)}
}

// handler answers one operation with a struct that its protocol encodes.
type handler func(a *Account, c *Call) (any, error)

// services is everything that the account can do, by service:Operation.
var services = map[string]handler{}

func init() {
	for _, some := range []map[string]handler{rdsService, rdsFenceService, auroraService, elastiCacheService, cloudFormationService, systemsService, secretsService,
		metricsService, identityService, noticeService, eventService, objectService, statesService, tokenService, tableService, keyService,
		routingService, alarmService, balancerService, healthCheckService, consumerService, route53Service, ec2Service, accessPointService} {
		for name, h := range some {
			services[name] = h
		}
	}
}

// NewAccount makes an account around an estate, which it changes.
func NewAccount(estate *Estate, clock *Clock, seed uint64, spec Faults) *Account {
	a := &Account{
		Estate: estate, Calls: map[string]int{}, clock: clock, random: rand.New(rand.NewPCG(seed, 0)), dns: rand.New(rand.NewPCG(seed, 2)), faults: newFaults(spec),
		before: map[string]any{}, objects: map[string][]byte{}, fresh: map[string]bool{}, used: map[Use]bool{}, reads: map[string]*bucket{}, invoked: map[string]int{}, items: map[string]map[string]any{},
		endpoints: map[string]bool{},
	}
	for _, x := range estate.Alarms {
		if x.Since.IsZero() {
			x.Since = clock.Now()
		}
	}
	for _, op := range estate.Operations {
		op.started = clock.Now().Add(-secondsOf(op.Elapsed))
	}
	for name, document := range estate.Payloads {
		for _, region := range estate.Regions {
			a.objects[a.Bucket(region)+"/"+run.StoredKey(name)] = document
		}
	}
	for _, fault := range spec {
		if region, ok := strings.CutPrefix(fault.Target, "region:"); ok && fault.Kind == Dead && fault.From <= 1 {
			estate.Desert(region) // even where nobody asks it anything
		}
	}
	a.functions = newFunctions(a)
	a.runs = newExecutions(a)
	return a
}

// Snapshot gives the estate as it is now, with operations that are under way.
func (a *Account) Snapshot() *Estate {
	a.settle()
	for _, op := range a.Estate.Operations {
		op.Elapsed = a.clock.Now().Sub(op.started).Seconds()
	}
	left := a.Estate.Clone()
	left.SavedAt = a.clock.Now()
	return left
}

// answer carries a call out.
func (a *Account) answer(c *Call) (any, error) {
	a.settle()
	h, ok := services[c.name()]
	if !ok {
		return nil, fail(400, "InvalidAction", "the lab does not know %s", c.name())
	}
	if err := a.permit(c); err != nil {
		return nil, err
	}
	return h(a, c)
}

// Mutations gives the calls that change resources, not the bookkeeping of the
// orchestrator itself.
func (a *Account) Mutations() map[string]int {
	out := map[string]int{}
	for name, n := range a.Calls {
		if Mutating(name) {
			out[name] = n
		}
	}
	return out
}

// Mutating reports whether a call, service:Operation, changes a resource.
func Mutating(name string) bool {
	service, operation, _ := strings.Cut(name, ":")
	switch service {
	case "sns", "states", "logs", "dynamodb":
		return false
	case "s3":
		return operation == "SubmitMultiRegionAccessPointRoutes"
	case "events":
		return operation == "EnableRule" || operation == "DisableRule"
	}
	for _, prefix := range []string{"Describe", "Get", "List", "Head"} {
		if strings.HasPrefix(operation, prefix) {
			return false
		}
	}
	return true
}

// id draws an identifier from the seed.
func (a *Account) id() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", a.random.Uint32(), a.random.Uint32()&0xffff, a.random.Uint32()&0xfff, a.random.Uint32()&0xfff, a.random.Uint64()&0xffffffffffff)
}

func atoi(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0
	}
	return n
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
