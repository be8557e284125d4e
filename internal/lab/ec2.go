package lab

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// EC2 answers about security groups. Its query protocol is one of its own.
var ec2Service = map[string]handler{"ec2:DescribeSecurityGroups": describeSecurityGroups}

// inbound gives what a security group lets in.
func (e *Estate) inbound(id string) []string {
	rules, ok := e.InboundRules[id]
	if !ok && !slices.Contains(e.ClosedGroups, id) {
		return []string{"10.0.0.0/8"}
	}
	return rules
}

// knowsGroup reports whether a security group exists. It does if it is
// described or if something is in it.
func (e *Estate) knowsGroup(id string) bool {
	if _, ok := e.InboundRules[id]; ok || slices.Contains(e.ClosedGroups, id) {
		return true
	}
	return slices.ContainsFunc(e.Instances, func(i *Instance) bool { return slices.Contains(i.SecurityGroups, id) }) ||
		slices.ContainsFunc(e.Clusters, func(c *Cluster) bool { return slices.Contains(c.SecurityGroups, id) })
}

type xmlSecurityGroup struct {
	ID    string           `xml:"groupId"`
	Rules []xmlInboundRule `xml:"ipPermissions>item"`
}

type xmlInboundRule struct {
	Protocol string   `xml:"ipProtocol"`
	Groups   []string `xml:"groups>item>groupId,omitempty"`
	Ranges   []string `xml:"ipRanges>item>cidrIp,omitempty"`
}

func describeSecurityGroups(a *Account, c *Call) (any, error) {
	var out struct {
		Groups []xmlSecurityGroup `xml:"securityGroupInfo>item"`
	}
	for key := range c.Params.form {
		if !strings.HasPrefix(key, "GroupId.") {
			continue
		}
		id := c.Params.str(key)
		if !a.Estate.knowsGroup(id) {
			return nil, fail(400, "InvalidGroup.NotFound", "The security group '%s' does not exist", id)
		}
		group := xmlSecurityGroup{ID: id}
		for _, from := range a.Estate.inbound(id) {
			rule := xmlInboundRule{Protocol: "-1"}
			if strings.HasPrefix(from, "sg-") {
				rule.Groups = []string{from}
			} else {
				rule.Ranges = []string{from}
			}
			group.Rules = append(group.Rules, rule)
		}
		out.Groups = append(out.Groups, group)
	}
	slices.SortFunc(out.Groups, func(x, y xmlSecurityGroup) int { return strings.Compare(x.ID, y.ID) })
	return out, nil
}

// ec2Result writes an answer: what is answered stands in the root itself.
func ec2Result(operation, namespace string, answer any, requestID string) []byte {
	var body bytes.Buffer
	if err := xml.NewEncoder(&body).EncodeElement(answer, xml.StartElement{Name: xml.Name{Local: "x"}}); err != nil {
		panic(err) // our own structs
	}
	inner := strings.TrimSuffix(strings.TrimPrefix(body.String(), "<x>"), "</x>")
	return fmt.Appendf(nil, `<%sResponse xmlns=%q><requestId>%s</requestId>%s</%sResponse>`, operation, namespace, requestID, inner, operation)
}

func ec2Error(f *Failure, requestID string) []byte {
	return fmt.Appendf(nil, `<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%s</RequestID></Response>`, f.Code, escape(f.Message), requestID)
}
