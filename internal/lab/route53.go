package lab

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Zone is a Route 53 hosted zone. Records is what the control plane shows;
// Published, while a change spreads, what the name servers still answer.
type Zone struct {
	ID          string       `json:"id"`
	Name        string       `json:"name"`
	Private     bool         `json:"private,omitempty"`
	NameServers []string     `json:"nameServers,omitempty"`
	Records     []*RecordSet `json:"records"`
	Published   []*RecordSet `json:"published,omitempty"`
}

// RecordSet is a Route 53 record set, in the estate and on the wire. One that
// is in a zone is never altered, but replaced.
type RecordSet struct {
	Name          string        `json:"name" xml:"Name"`
	Type          string        `json:"type" xml:"Type"`
	SetIdentifier string        `json:"setIdentifier,omitempty" xml:"SetIdentifier,omitempty"`
	Weight        *int          `json:"weight,omitempty" xml:"Weight,omitempty"`
	Region        string        `json:"region,omitempty" xml:"Region,omitempty"`
	Geo           *Geo          `json:"geoLocation,omitempty" xml:"GeoLocation,omitempty"`
	Failover      string        `json:"failover,omitempty" xml:"Failover,omitempty"`
	MultiValue    *bool         `json:"multiValueAnswer,omitempty" xml:"MultiValueAnswer,omitempty"`
	TTL           *int          `json:"ttl,omitempty" xml:"TTL,omitempty"`
	Values        []RecordValue `json:"values,omitempty" xml:"ResourceRecords>ResourceRecord,omitempty"`
	Alias         *Alias        `json:"alias,omitempty" xml:"AliasTarget,omitempty"`
	HealthCheck   string        `json:"healthCheck,omitempty" xml:"HealthCheckId,omitempty"`
	Proximity     *Proximity    `json:"geoProximityLocation,omitempty" xml:"GeoProximityLocation,omitempty"`
	Traffic       string        `json:"trafficPolicyInstance,omitempty" xml:"TrafficPolicyInstanceId,omitempty"`
}

// Geo is where the callers of a geolocation record set are.
type Geo struct {
	Continent   string `json:"continent,omitempty" xml:"ContinentCode,omitempty"`
	Country     string `json:"country,omitempty" xml:"CountryCode,omitempty"`
	Subdivision string `json:"subdivision,omitempty" xml:"SubdivisionCode,omitempty"`
}

// Proximity is where the resource of a geoproximity record set is.
type Proximity struct {
	Region string `json:"region,omitempty" xml:"AWSRegion,omitempty"`
	Bias   *int   `json:"bias,omitempty" xml:"Bias,omitempty"`
}

// Alias is the target of an alias record set.
type Alias struct {
	Zone           string `json:"zone" xml:"HostedZoneId"`
	Name           string `json:"name" xml:"DNSName"`
	EvaluateHealth bool   `json:"evaluateTargetHealth" xml:"EvaluateTargetHealth"`
}

// RecordValue is one value of a record set.
type RecordValue string

// MarshalXML writes a value as Route 53 does.
func (v RecordValue) MarshalXML(e *xml.Encoder, start xml.StartElement) error {
	return e.EncodeElement(struct{ Value string }{string(v)}, start)
}

// UnmarshalXML reads a value as Route 53 does.
func (v *RecordValue) UnmarshalXML(d *xml.Decoder, start xml.StartElement) error {
	var in struct{ Value string }
	err := d.DecodeElement(&in, &start)
	*v = RecordValue(in.Value)
	return err
}

// ZoneChange is a change of records that Route 53 has taken.
type ZoneChange struct {
	ID     string    `json:"id"`
	Zone   string    `json:"zone"`
	Status string    `json:"status"`
	Keys   []string  `json:"keys"` // the record sets that it touched
	At     time.Time `json:"at"`
}

func (r *RecordSet) group() string { return dnsName(r.Name) + " " + r.Type }
func (r *RecordSet) key() string   { return r.group() + " " + r.SetIdentifier }

// policy names the routing policy of a record set.
func (r *RecordSet) policy() string {
	switch {
	case r.Weight != nil:
		return "weighted"
	case r.Failover != "":
		return "failover"
	case r.Region != "":
		return "latency"
	case r.Geo != nil:
		return "geolocation"
	case r.Proximity != nil:
		return "geoproximity"
	case r.MultiValue != nil && *r.MultiValue:
		return "multivalue answer"
	}
	return "simple"
}

// dnsName writes a name as Route 53 keeps it.
func dnsName(name string) string {
	return strings.Replace(strings.TrimSuffix(strings.ToLower(name), ".")+".", "*", `\052`, 1)
}

// order sorts record sets as Route 53 lists them: by the labels of the name
// from the right, then by type and set identifier.
func order(a, b *RecordSet) int {
	return slices.Compare(orderKey(a.Name, a.Type, a.SetIdentifier), orderKey(b.Name, b.Type, b.SetIdentifier))
}

func orderKey(name, kind, identifier string) []string {
	labels := strings.Split(strings.TrimSuffix(dnsName(name), "."), ".")
	slices.Reverse(labels)
	// An empty text is below every label: a name comes before those under it.
	return append(labels, "", kind, identifier)
}

func (e *Estate) zone(id string) *Zone {
	for _, z := range e.Zones {
		if z.ID == id {
			return z
		}
	}
	return nil
}

func (z *Zone) group(name string) []*RecordSet {
	var all []*RecordSet
	for _, r := range z.Records {
		if r.group() == name {
			all = append(all, r)
		}
	}
	return all
}

// checkZones finds what Route 53 would not have taken.
func (e *Estate) checkZones(bad func(format string, args ...any)) {
	seen := map[string]bool{}
	for i, z := range e.Zones {
		if seen[z.ID] {
			bad("hosted zone %s is there twice", z.ID)
		}
		seen[z.ID] = true
		keys := map[string]bool{}
		groups := map[string]bool{}
		for _, r := range z.Records {
			if keys[r.key()] {
				bad("hostedZones[%d] %s: %s is there twice", i, z.ID, r.key())
			}
			keys[r.key()] = true
			if groups[r.group()] {
				continue
			}
			groups[r.group()] = true
			for _, fault := range e.faultsOf(z, r.group(), z.Records) {
				bad("hostedZones[%d] %s: %s", i, z.ID, fault)
			}
		}
	}
}

// route53Rate is Route 53's limit for a whole account: five requests a second.
const route53Rate = 5.0

// limited takes a request out of the account's bucket.
func (a *Account) limited() error {
	now := a.clock.Now()
	a.zoneTokens = min(route53Rate, a.zoneTokens+now.Sub(a.zoneTokensAt).Seconds()*route53Rate)
	a.zoneTokensAt = now
	if a.zoneTokens < 1 {
		return fail(400, "Throttling", "Rate exceeded")
	}
	a.zoneTokens--
	return nil
}

// refusedBatch is the body of InvalidChangeBatch, with all that is wrong.
func refusedBatch(messages []string, requestID string) []byte {
	body := fmt.Sprintf(`<InvalidChangeBatch xmlns=%q><Messages>`, route53Namespace)
	for _, m := range messages {
		body += "<Message>" + escape(m) + "</Message>"
	}
	return []byte(body + "</Messages><RequestId>" + requestID + "</RequestId></InvalidChangeBatch>")
}

var route53Service = map[string]handler{
	"route53:ListResourceRecordSets":   onZone(listRecords),
	"route53:ChangeResourceRecordSets": onZone(changeRecords),
	"route53:GetHostedZone":            onZone(getHostedZone),
	"route53:GetChange":                getChange,
}

// onZone finds the zone that a call names.
func onZone(h func(a *Account, c *Call, z *Zone) (any, error)) handler {
	return func(a *Account, c *Call) (any, error) {
		if err := a.limited(); err != nil {
			return nil, err
		}
		z := a.Estate.zone(c.Params.str("Id"))
		if z == nil {
			return nil, fail(404, "NoSuchHostedZone", "No hosted zone found with ID: %s", c.Params.str("Id"))
		}
		return h(a, c, z)
	}
}

func listRecords(a *Account, c *Call, z *Zone) (any, error) {
	var out struct {
		Records        []*RecordSet `xml:"ResourceRecordSets>ResourceRecordSet"`
		IsTruncated    bool
		NextName       string `xml:"NextRecordName,omitempty"`
		NextType       string `xml:"NextRecordType,omitempty"`
		NextIdentifier string `xml:"NextRecordIdentifier,omitempty"`
		MaxItems       int
	}
	records := z.Records
	if old, ok := a.before["zone/"+z.ID].([]*RecordSet); ok && c.stale {
		records = old
	}
	records = slices.Clone(records)
	slices.SortFunc(records, order)
	name, kind, identifier := c.Params.str("name"), c.Params.str("type"), c.Params.str("identifier")
	switch {
	case kind != "" && name == "", identifier != "" && kind == "":
		return nil, fail(400, "InvalidInput", "a type needs a name, and an identifier needs both")
	case name != "":
		start := orderKey(name, kind, identifier)
		at := slices.IndexFunc(records, func(r *RecordSet) bool {
			return slices.Compare(orderKey(r.Name, r.Type, r.SetIdentifier), start) >= 0
		})
		if at < 0 {
			at = len(records)
		}
		records = records[at:]
	}
	out.MaxItems = 300
	if n := atoi(c.Params.str("maxitems")); n > 0 {
		out.MaxItems = min(n, 300)
	}
	if len(records) > out.MaxItems {
		next := records[out.MaxItems]
		out.IsTruncated, out.NextName, out.NextType, out.NextIdentifier = true, dnsName(next.Name), next.Type, next.SetIdentifier
		records = records[:out.MaxItems]
	}
	for _, r := range records {
		shown := *r
		shown.Name = dnsName(r.Name)
		out.Records = append(out.Records, &shown)
	}
	return out, nil
}

type xmlChangeInfo struct {
	ID          string `xml:"Id"`
	Status      string `xml:"Status"`
	SubmittedAt string `xml:"SubmittedAt"`
}

func (z *ZoneChange) xml() xmlChangeInfo {
	return xmlChangeInfo{"/change/" + z.ID, z.Status, z.At.UTC().Format(time.RFC3339)}
}

func getChange(a *Account, c *Call) (any, error) {
	if err := a.limited(); err != nil {
		return nil, err
	}
	var out struct {
		Info xmlChangeInfo `xml:"ChangeInfo"`
	}
	for _, change := range a.Estate.ZoneChanges {
		if change.ID == c.Params.str("Id") && !c.notFound {
			out.Info = change.xml()
			if c.stale {
				out.Info.Status = "PENDING"
			}
			return out, nil
		}
	}
	return nil, fail(404, "NoSuchChange", "A change with the specified change ID does not exist: %s", c.Params.str("Id"))
}

func getHostedZone(_ *Account, _ *Call, z *Zone) (any, error) {
	var out struct {
		ID      string   `xml:"HostedZone>Id"`
		Name    string   `xml:"HostedZone>Name"`
		Caller  string   `xml:"HostedZone>CallerReference"`
		Private bool     `xml:"HostedZone>Config>PrivateZone"`
		Count   int      `xml:"HostedZone>ResourceRecordSetCount"`
		Servers []string `xml:"DelegationSet>NameServers>NameServer"`
	}
	out.ID, out.Name, out.Caller, out.Private, out.Count, out.Servers = "/hostedzone/"+z.ID, dnsName(z.Name), "lab", z.Private, len(z.Records), z.NameServers
	return out, nil
}

type zoneChangeRequest struct {
	Changes []struct {
		Action string     `xml:"Action"`
		Set    *RecordSet `xml:"ResourceRecordSet"`
	} `xml:"ChangeBatch>Changes>Change"`
}

func invalidBatch(messages ...string) *Failure {
	f := fail(400, "InvalidChangeBatch", "%s", strings.Join(messages, "; "))
	f.Detail = map[string]any{"messages": messages}
	return f
}

// priorTime is how long Route 53 works on a batch before it takes the next one
// of the same zone; AWS gives no figure.
const priorTime = time.Second

func changeRecords(a *Account, c *Call, z *Zone) (any, error) {
	var in zoneChangeRequest
	if err := xml.Unmarshal(c.Body, &in); err != nil {
		return nil, fail(400, "InvalidInput", "the body is not a change batch: %v", err)
	}
	for _, change := range a.Estate.ZoneChanges {
		if change.Zone == z.ID && change.Status == "PENDING" && a.clock.Now().Sub(change.At) < priorTime {
			return nil, fail(400, "PriorRequestNotComplete", "The request was rejected because Route 53 was still processing a prior request.")
		}
	}
	after, keys, err := a.Estate.changed(z, in)
	if err != nil {
		return nil, err
	}
	change := &ZoneChange{ID: a.changeID(), Zone: z.ID, Status: "PENDING", Keys: keys, At: a.clock.Now()}
	a.before["zone/"+z.ID] = z.Records
	if z.Published == nil {
		z.Published = z.Records
	}
	z.Records = after
	a.Estate.ZoneChanges = append(a.Estate.ZoneChanges, change)
	// What is asked for names the operation: asking twice for the same is seen.
	content := sha256.New()
	for _, x := range in.Changes {
		fmt.Fprintln(content, x.Action, x.Set.text())
	}
	a.begin(c, "ChangeResourceRecordSets", "hostedzone/"+z.ID+"/"+hex.EncodeToString(content.Sum(nil))[:16], map[string]string{"change": change.ID})
	var out struct {
		Info xmlChangeInfo `xml:"ChangeInfo"`
	}
	out.Info = change.xml()
	return out, nil
}

// changeID draws an id that no change of the estate has: those of a saved one
// may have come out of the same lot.
func (a *Account) changeID() string {
	for {
		id := "C" + strings.ToUpper(strings.ReplaceAll(a.id(), "-", ""))[:20]
		if !slices.ContainsFunc(a.Estate.ZoneChanges, func(c *ZoneChange) bool { return c.ID == id }) {
			return id
		}
	}
}

func (r *RecordSet) text() string {
	body, err := xml.Marshal(r)
	if err != nil {
		panic(err) // our own struct
	}
	return string(body)
}

// asGiven is a text that is the same for sets that are the same to a DELETE:
// names are, however they are written, and values in any order.
func (r *RecordSet) asGiven() string {
	c := *r
	c.Name = dnsName(c.Name)
	if c.Alias != nil {
		alias := *c.Alias
		alias.Name = dnsName(alias.Name)
		c.Alias = &alias
	}
	c.Values = slices.Sorted(slices.Values(c.Values))
	return c.text()
}

// changed applies a batch to a copy of a zone's records, all of it or nothing.
func (e *Estate) changed(z *Zone, in zoneChangeRequest) (after []*RecordSet, keys []string, err error) {
	after = slices.Clone(z.Records)
	var messages []string
	refuse := func(format string, args ...any) { messages = append(messages, fmt.Sprintf(format, args...)) }
	values, characters := 0, 0
	groups, actions := map[string]bool{}, map[string]string{}
	for _, x := range in.Changes {
		times := 1
		if x.Action == "UPSERT" {
			times = 2 // Route 53 counts it as a deletion and a creation
		}
		x.Set.Name = dnsName(x.Set.Name)
		if x.Set.Alias != nil {
			x.Set.Alias.Name = dnsName(x.Set.Alias.Name)
		}
		values += times * max(len(x.Set.Values), 1)
		for _, v := range x.Set.Values {
			characters += times * len(v)
		}
		key := x.Set.key()
		// One change of a set, or its deletion and what comes in its place.
		if earlier := actions[key]; earlier != "" && (earlier != "DELETE" || x.Action != "CREATE") {
			refuse("The request contains an invalid set of changes for a resource record set '%s %s'", x.Set.Type, x.Set.Name)
			continue
		}
		if actions[key] == "" {
			keys = append(keys, key)
		}
		actions[key] += x.Action
		groups[x.Set.group()] = true
		if x.Action != "DELETE" {
			if x.Set.HealthCheck != "" && !slices.ContainsFunc(e.HealthChecks, func(h *HealthCheck) bool { return h.ID == x.Set.HealthCheck }) {
				return nil, nil, fail(404, "NoSuchHealthCheck", "No health check exists with the ID %s", x.Set.HealthCheck)
			}
			if fault := missingTarget(z, x.Set, after); fault != "" {
				refuse("%s", fault)
			}
		}
		at := slices.IndexFunc(after, func(r *RecordSet) bool { return r.key() == key })
		switch {
		case x.Action == "CREATE" && at >= 0:
			refuse("Tried to create resource record set [name='%s', type='%s'] but it already exists", x.Set.Name, x.Set.Type)
		case x.Action == "DELETE" && at < 0:
			refuse("Tried to delete resource record set [name='%s', type='%s'] but it was not found", x.Set.Name, x.Set.Type)
		case x.Action == "DELETE" && after[at].asGiven() != x.Set.asGiven():
			refuse("Tried to delete resource record set [name='%s', type='%s'] but the values provided do not match the current values", x.Set.Name, x.Set.Type)
		case x.Action == "DELETE":
			after = slices.Delete(after, at, at+1)
		case at >= 0:
			after[at] = x.Set
		default:
			after = append(after, x.Set)
		}
	}
	if values > 1000 {
		refuse("Number of records limit of 1000 exceeded.")
	}
	if characters > 32000 {
		refuse("Number of characters limit of 32000 exceeded.")
	}
	for _, g := range sortedKeys(groups) {
		messages = append(messages, e.faultsOf(z, g, after)...)
	}
	if len(messages) > 0 {
		return nil, nil, invalidBatch(messages...)
	}
	return after, keys, nil
}

// faultsOf gives what Route 53 has against the sets of one name and type.
func (e *Estate) faultsOf(z *Zone, group string, records []*RecordSet) []string {
	var all []string
	refuse := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	policies, roles, regions := map[string]bool{}, map[string]bool{}, map[string]bool{}
	apex := dnsName(z.Name)
	for _, r := range records {
		if r.group() != group {
			if name, kind, _ := strings.Cut(group, " "); dnsName(r.Name) == name && (kind == "CNAME") != (r.Type == "CNAME") {
				refuse("RRSet of type %s with DNS name %s is not permitted as it conflicts with other records with the same DNS name in zone %s", kind, name, apex)
			}
			continue
		}
		name := dnsName(r.Name)
		what := fmt.Sprintf("RRSet with DNS name %s, type %s", name, r.Type)
		if r.SetIdentifier != "" {
			what += ", SetIdentifier " + r.SetIdentifier
		}
		policies[r.policy()] = true
		if name != apex && !strings.HasSuffix(name, "."+apex) {
			refuse("%s is not permitted in zone %s", what, apex)
		}
		if r.Type == "CNAME" && name == apex {
			refuse("%s is not permitted at apex in zone %s", what, apex)
		}
		if (r.policy() == "simple") != (r.SetIdentifier == "") {
			refuse("%s: a set identifier goes with a routing policy, and with none else", what)
		}
		switch {
		case r.Alias != nil && (r.TTL != nil || len(r.Values) > 0):
			refuse("Invalid request: an alias has neither TTL nor resource records (%s)", what)
		case r.Alias == nil && (r.TTL == nil || len(r.Values) == 0):
			refuse("Invalid request: missing field 'TTL' or 'ResourceRecords' (%s)", what)
		case r.Type == "CNAME" && len(r.Values) > 1:
			refuse("%s: a CNAME has one value", what)
		}
		if r.Weight != nil && (*r.Weight < 0 || *r.Weight > 255) {
			refuse("%s: the weight must be from 0 to 255", what)
		}
		if r.Failover != "" && roles[r.Failover] {
			refuse("%s cannot be created as a non-unique %s exists", what, r.Failover)
		}
		if r.Region != "" && regions[r.Region] {
			refuse("%s cannot be created as one of region %s exists", what, r.Region)
		}
		roles[r.Failover], regions[r.Region] = true, true
		for _, fault := range faultsOfValues(r) {
			refuse("%s: %s", what, fault)
		}
		if fault := missingTarget(z, r, records); fault != "" {
			refuse("%s", fault)
		}
	}
	if len(policies) > 1 {
		refuse("RRSets of %s cannot have the routing policies %v together", group, sortedKeys(policies))
	}
	return all
}

// missingTarget tells that what an alias leads to within its zone is not there.
func missingTarget(z *Zone, r *RecordSet, records []*RecordSet) string {
	if r.Alias == nil || r.Alias.Zone != z.ID {
		return ""
	}
	target := dnsName(r.Alias.Name) + " " + r.Type
	if target != r.group() && slices.ContainsFunc(records, func(x *RecordSet) bool { return x.group() == target }) {
		return ""
	}
	return fmt.Sprintf("Tried to create an alias that targets %s, type %s in zone %s, but that target was not found", dnsName(r.Alias.Name), r.Type, z.ID)
}

// faultsOfValues gives what Route 53 has against the values of a set.
func faultsOfValues(r *RecordSet) []string {
	var all []string
	seen := map[RecordValue]bool{}
	for _, v := range r.Values {
		text := string(v)
		switch {
		case seen[v]:
			all = append(all, fmt.Sprintf("Duplicate Resource Record: '%s'", text))
		case r.Type == "CNAME" && dnsName(text) == dnsName(r.Name):
			all = append(all, "a CNAME cannot lead to its own name")
		case r.Type == "CNAME" && (text == "" || strings.ContainsAny(text, " \t\n\"")):
			all = append(all, fmt.Sprintf("Invalid Resource Record: '%s' is no domain name", text))
		case (r.Type == "TXT" || r.Type == "SPF") && (len(text) < 2 || !strings.HasPrefix(text, `"`) || !strings.HasSuffix(text, `"`)):
			all = append(all, fmt.Sprintf("Invalid Resource Record: InvalidCharacterString (Value should be enclosed in quotation marks) encountered with '%s'", text))
		}
		seen[v] = true
	}
	return all
}

// publish lets the name servers answer with what a change has brought.
func (e *Estate) publish(id string) {
	at := slices.IndexFunc(e.ZoneChanges, func(c *ZoneChange) bool { return c.ID == id })
	if at < 0 {
		return
	}
	change := *e.ZoneChanges[at]
	change.Status = "INSYNC"
	e.ZoneChanges = slices.Clone(e.ZoneChanges)
	e.ZoneChanges[at] = &change
	z := e.zone(change.Zone)
	if z == nil {
		return
	}
	if !slices.ContainsFunc(e.ZoneChanges, func(c *ZoneChange) bool { return c.Zone == z.ID && c.Status != "INSYNC" }) {
		z.Published = nil
		return
	}
	touched := func(r *RecordSet) bool { return slices.Contains(change.Keys, r.key()) }
	published := slices.DeleteFunc(slices.Clone(z.Published), touched)
	for _, r := range z.Records {
		if touched(r) {
			published = append(published, r)
		}
	}
	z.Published = published
}
