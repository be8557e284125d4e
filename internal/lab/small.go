package lab

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// The services of which the product needs a few reads only.

const exportsPage = 100

var cloudFormationService = map[string]handler{"cloudformation:ListExports": func(a *Account, c *Call) (any, error) {
	type export struct {
		Stack string `xml:"ExportingStackId"`
		Name  string `xml:"Name"`
		Value string `xml:"Value"`
	}
	var out struct {
		Exports   []export `xml:"Exports>member"`
		NextToken string   `xml:"NextToken,omitempty"`
	}
	values := a.Estate.Exports[c.Region]
	names := sortedKeys(values)
	from := min(atoi(c.Params.str("NextToken")), len(names))
	for _, name := range names[from:min(from+exportsPage, len(names))] {
		out.Exports = append(out.Exports, export{"arn:aws:cloudformation:" + c.Region + ":" + a.Estate.Account + ":stack/app/0", name, values[name]})
	}
	if from+exportsPage < len(names) {
		out.NextToken = strconv.Itoa(from + exportsPage)
	}
	return out, nil
}}

type jsonParameter struct {
	ARN     string `json:"ARN"`
	Name    string `json:"Name"`
	Type    string `json:"Type"`
	Value   string `json:"Value"`
	Version int    `json:"Version"`
}

// parameter finds an SSM parameter by NAME or NAME:VERSION; the lab keeps one
// version of each.
func (a *Account) parameter(region, selector string, decrypt bool) (jsonParameter, bool) {
	name, version, versioned := strings.Cut(selector, ":")
	for _, p := range a.Estate.Parameters[region] {
		if p.Name != name || (versioned && version != "1") {
			continue
		}
		out := jsonParameter{"arn:aws:ssm:" + region + ":" + a.Estate.Account + ":parameter/" + strings.TrimPrefix(name, "/"), name, "String", p.Value, 1}
		if p.Secure {
			out.Type = "SecureString"
			if !decrypt {
				out.Value = "AQICAHenciphered"
			}
		}
		return out, true
	}
	return jsonParameter{}, false
}

var systemsService = map[string]handler{
	"ssm:GetParameters": func(a *Account, c *Call) (any, error) {
		out := struct {
			Parameters        []jsonParameter `json:"Parameters"`
			InvalidParameters []string        `json:"InvalidParameters"`
		}{[]jsonParameter{}, []string{}}
		names := c.Params.list("Names", "")
		if len(names) > 10 {
			return nil, fail(400, "ValidationException", "at most 10 names")
		}
		for _, name := range names {
			if p, ok := a.parameter(c.Region, name, c.Params.flag("WithDecryption")); ok {
				out.Parameters = append(out.Parameters, p)
			} else {
				out.InvalidParameters = append(out.InvalidParameters, name)
			}
		}
		return out, nil
	},
	"ssm:GetParameter": func(a *Account, c *Call) (any, error) {
		p, ok := a.parameter(c.Region, c.Params.str("Name"), c.Params.flag("WithDecryption"))
		if !ok {
			return nil, fail(400, "ParameterNotFound", "")
		}
		return map[string]any{"Parameter": p}, nil
	},
}

func (a *Account) secret(c *Call) (string, string, error) {
	id := c.Params.str("SecretId")
	if strings.HasPrefix(id, "arn:") {
		id = lastName(id)
		if cut := strings.LastIndex(id, "-"); cut > 0 {
			id = id[:cut]
		}
	}
	value, ok := a.Estate.Secrets[c.Region][id]
	if !ok {
		return "", "", fail(400, "ResourceNotFoundException", "Secrets Manager can't find the specified secret.")
	}
	return id, value, nil
}

const secretVersion = "00000000-0000-4000-8000-000000000001"

var secretsService = map[string]handler{
	"secretsmanager:DescribeSecret": func(a *Account, c *Call) (any, error) {
		id, _, err := a.secret(c)
		if err != nil {
			return nil, err
		}
		return map[string]any{"ARN": a.secretARN(c.Region, id), "Name": id, "VersionIdsToStages": map[string][]string{secretVersion: {"AWSCURRENT"}}}, nil
	},
	"secretsmanager:GetSecretValue": func(a *Account, c *Call) (any, error) {
		id, value, err := a.secret(c)
		if err != nil {
			return nil, err
		}
		return map[string]any{"ARN": a.secretARN(c.Region, id), "Name": id, "SecretString": value, "VersionId": secretVersion, "VersionStages": []string{"AWSCURRENT"}}, nil
	},
}

func (a *Account) secretARN(region, id string) string {
	return "arn:aws:secretsmanager:" + region + ":" + a.Estate.Account + ":secret:" + id + "-AbCdEf"
}

// tree reads an object of a decoded body: CBOR and JSON decode to different
// maps.
func tree(v any) map[string]any {
	switch m := v.(type) {
	case map[string]any:
		return m
	case map[any]any:
		out := map[string]any{}
		for k, value := range m {
			if name, ok := k.(string); ok {
				out[name] = value
			}
		}
		return out
	}
	return nil
}

var identityService = map[string]handler{"sts:GetCallerIdentity": func(a *Account, _ *Call) (any, error) {
	return struct {
		ARN     string `xml:"Arn"`
		User    string `xml:"UserId"`
		Account string `xml:"Account"`
	}{"arn:aws:iam::" + a.Estate.Account + ":user/lab", "AIDALAB", a.Estate.Account}, nil
}}

var noticeService = map[string]handler{"sns:Publish": func(a *Account, c *Call) (any, error) {
	a.notices = append(a.notices, Notice{c.Params.str("Subject"), c.Params.str("Message")})
	return struct {
		ID string `xml:"MessageId"`
	}{a.id()}, nil
}}

var eventService = map[string]handler{"events:PutEvents": func(a *Account, c *Call) (any, error) {
	entries, _ := c.Params.tree["Entries"].([]any)
	if len(entries) < 1 || len(entries) > 10 {
		return nil, fail(400, "ValidationException", "PutEvents takes 1 to 10 entries")
	}
	ids := []map[string]string{}
	for _, entry := range entries {
		e := tree(entry)
		event := Event{Region: c.Region}
		event.Source, _ = e["Source"].(string)
		event.DetailType, _ = e["DetailType"].(string)
		event.Detail, _ = e["Detail"].(string)
		resources, _ := e["Resources"].([]any)
		for _, r := range resources {
			event.Resources = append(event.Resources, fmt.Sprint(r))
		}
		a.events = append(a.events, event)
		ids = append(ids, map[string]string{"EventId": a.id()})
		if len(a.rules) > 0 {
			a.Deliver(c.Region, a.event(c.Region, event.Source, event.DetailType, json.RawMessage(event.Detail), event.Resources))
		}
	}
	return map[string]any{"FailedEntryCount": 0, "Entries": ids}, nil
}}
