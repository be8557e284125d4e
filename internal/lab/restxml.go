package lab

import (
	"bytes"
	"encoding/xml"
	"net/http"
	"strings"
)

// restRoute maps a method and a path to an operation. In the path, {Name}
// stands for a parameter; the body is read by the operation itself.
type restRoute struct{ method, path, operation string }

// match finds the route of a request and reads the parameters in its path and
// query.
func match(routes []restRoute, r *http.Request) (string, map[string]any, bool) {
	for _, route := range routes {
		if route.method != r.Method {
			continue
		}
		found, ok := matchPath(route.path, r.URL.Path)
		if !ok {
			continue
		}
		for name, values := range r.URL.Query() {
			found[name] = values[0]
		}
		return route.operation, found, true
	}
	return "", nil, false
}

func matchPath(pattern, path string) (map[string]any, bool) {
	want, got := strings.Split(strings.Trim(pattern, "/"), "/"), strings.Split(strings.Trim(path, "/"), "/")
	if len(want) != len(got) {
		return nil, false
	}
	out := map[string]any{}
	for i := range want {
		if name, ok := strings.CutPrefix(want[i], "{"); ok {
			out[strings.TrimSuffix(name, "}")] = got[i]
		} else if want[i] != got[i] {
			return nil, false
		}
	}
	return out, true
}

// route53Namespace is that of every Route 53 document.
const route53Namespace = "https://route53.amazonaws.com/doc/2013-04-01/"

// route53Routes are those of records and of health checks.
var route53Routes = []restRoute{
	{"GET", "/2013-04-01/hostedzone/{Id}", "GetHostedZone"},
	{"GET", "/2013-04-01/hostedzone/{Id}/rrset", "ListResourceRecordSets"},
	{"POST", "/2013-04-01/hostedzone/{Id}/rrset", "ChangeResourceRecordSets"},
	{"GET", "/2013-04-01/change/{Id}", "GetChange"},
	{"GET", "/2013-04-01/healthcheck/{HealthCheckId}", "GetHealthCheck"},
	{"POST", "/2013-04-01/healthcheck/{HealthCheckId}", "UpdateHealthCheck"},
}

// encodeRestXML writes an answer of Route 53 or S3 Control: the operation's
// name is that of the document. An answer that says nothing has none.
func encodeRestXML(operation, namespace string, answer any) ([]byte, error) {
	if answer == nil {
		return nil, nil
	}
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	start := xml.StartElement{Name: xml.Name{Local: operation + "Response"}, Attr: []xml.Attr{{Name: xml.Name{Local: "xmlns"}, Value: namespace}}}
	if err := e.EncodeElement(answer, start); err != nil {
		return nil, err
	}
	return b.Bytes(), e.Flush()
}
