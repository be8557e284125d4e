package lab

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// protocol is how one service puts its calls on the wire.
type protocol int

const (
	query protocol = iota
	json10
	json11
	rpcCBOR
	restS3
	restXML
	restJSON
)

// signing names as SigV4 carries them, and what the lab calls the service:
// its IAM prefix.
var signingNames = map[string]struct {
	service   string
	namespace string
}{
	"rds":            {"rds", "http://rds.amazonaws.com/doc/2014-10-31/"},
	"elasticache":    {"elasticache", "http://elasticache.amazonaws.com/doc/2015-02-02/"},
	"cloudformation": {"cloudformation", "http://cloudformation.amazonaws.com/doc/2010-05-15/"},
	"ec2":            {"ec2", "http://ec2.amazonaws.com/doc/2016-11-15/"},
	"sts":            {"sts", "https://sts.amazonaws.com/doc/2011-06-15/"},
	"sns":            {"sns", "http://sns.amazonaws.com/doc/2010-03-31/"},
	"monitoring":     {"cloudwatch", "http://monitoring.amazonaws.com/doc/2010-08-01/"},
	"ssm":            {"ssm", ""},
	"secretsmanager": {"secretsmanager", ""},
	"events":         {"events", ""},
	"states":         {"states", ""},
	"dynamodb":       {"dynamodb", ""},
	"s3":             {"s3", ""},
	"kms":            {"kms", ""},

	"lambda":                   {"lambda", ""},
	"scheduler":                {"scheduler", ""},
	"route53":                  {"route53", route53Namespace},
	"elasticloadbalancing":     {"elasticloadbalancing", "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"},
	"route53-recovery-cluster": {"route53-recovery-cluster", ""},
}

var credential = regexp.MustCompile(`Credential=[^/]+/\d{8}/([^/]+)/([^/]+)/aws4_request`)

// request is a decoded HTTP request: the call, and how to answer it.
type request struct {
	call      *Call
	protocol  protocol
	namespace string
}

// decodeRequest reads service and region from the SigV4 scope, because a
// custom endpoint hides both, and the operation by the service's protocol.
func decodeRequest(r *http.Request, body []byte) (*request, error) {
	scope := credential.FindStringSubmatch(r.Header.Get("Authorization"))
	if scope == nil {
		return nil, fail(403, "MissingAuthenticationToken", "the request carries no SigV4 signature: give the AWS client any credentials and a region")
	}
	known, ok := signingNames[scope[2]]
	if !ok {
		return nil, fail(400, "UnknownService", "the lab does not know the service %s", scope[2])
	}
	if r.Header.Get("Content-Encoding") == "gzip" { // the SDK packs metric data
		packed, err := gzip.NewReader(bytes.NewReader(body))
		if err == nil {
			body, err = io.ReadAll(packed)
		}
		if err != nil {
			return nil, fail(400, "SerializationException", "the body cannot be unpacked: %v", err)
		}
	}
	out := &request{call: &Call{Service: known.service, Region: scope[1], Body: body}, namespace: known.namespace}
	c := out.call
	target := r.Header.Get("X-Amz-Target")
	switch {
	case known.service == "s3" && strings.HasPrefix(r.URL.Path, accessPointPath):
		out.protocol, out.namespace = restXML, s3ControlNamespace
		return out, decodeS3Control(r, c)
	case known.service == "s3":
		out.protocol = restS3
		return out, decodeS3(r, c)
	case consumerRoutes[known.service] != nil:
		out.protocol = restJSON
		operation, found, ok := match(consumerRoutes[known.service], r)
		if !ok {
			return out, fail(400, "InvalidAction", "the lab does not know %s %s of %s", r.Method, r.URL.Path, known.service)
		}
		c.Operation, c.Params = operation, params{tree: found}
		return out, readBody(body, found)
	case known.service == "route53":
		out.protocol = restXML
		operation, found, ok := match(route53Routes, r)
		if !ok {
			return out, fail(400, "InvalidInput", "the lab's Route 53 does not know %s %s", r.Method, r.URL.Path)
		}
		c.Operation, c.Params = operation, params{tree: found}
	case target != "":
		out.protocol = json10
		if strings.Contains(r.Header.Get("Content-Type"), "1.1") {
			out.protocol = json11
		}
		_, c.Operation, _ = strings.Cut(target, ".")
		var v map[string]any
		if err := json.Unmarshal(body, &v); err != nil {
			return out, fail(400, "SerializationException", "the body is not JSON: %v", err)
		}
		c.Params = params{tree: v}
	case strings.HasPrefix(r.URL.Path, "/service/"):
		out.protocol = rpcCBOR
		c.Operation = r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		var v map[string]any
		if err := cbor.Unmarshal(body, &v); err != nil {
			return out, fail(400, "SerializationException", "the body is not CBOR: %v", err)
		}
		c.Params = params{tree: v}
	default:
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return out, fail(400, "MalformedQueryString", "%v", err)
		}
		c.Operation, c.Params = form.Get("Action"), params{form: form}
	}
	return out, nil
}

// params reads the parameters of a call, whatever its protocol.
type params struct {
	form url.Values
	tree map[string]any
}

func (p params) str(name string) string {
	if p.form != nil {
		return p.form.Get(name)
	}
	switch v := p.tree[name].(type) {
	case string:
		return v
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}

func (p params) has(name string) bool {
	if p.form != nil {
		return p.form.Has(name)
	}
	_, ok := p.tree[name]
	return ok
}

func (p params) flag(name string) bool { return p.str(name) == "true" }

// list reads a list of strings; member is the name of its items in the query
// protocol.
func (p params) list(name, member string) []string {
	var out []string
	if p.form == nil {
		items, _ := p.tree[name].([]any)
		for _, item := range items {
			out = append(out, fmt.Sprint(item))
		}
		return out
	}
	var keys []string
	for key := range p.form {
		if strings.HasPrefix(key, name+"."+member+".") {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	for _, key := range keys {
		out = append(out, p.form.Get(key))
	}
	return out
}

// response is what goes back over the wire.
type response struct {
	status int
	header http.Header
	body   []byte
}

// encode writes an answer, or an error, in the protocol of the request.
// DynamoDB adds a checksum, which its clients compare, and S3 has a header of
// its own for the request's id.
func (r *request) encode(answer any, err error, requestID string) response {
	out := r.encodePlain(answer, err, requestID)
	if r.call.Service == "dynamodb" {
		out.header.Set("X-Amz-Crc32", strconv.FormatUint(uint64(crc32.ChecksumIEEE(out.body)), 10))
	}
	if r.call.Service == "s3" {
		out.header.Set("X-Amz-Request-Id", requestID)
	}
	return out
}

func (r *request) encodePlain(answer any, err error, requestID string) response {
	if err != nil {
		return r.encodeError(err, requestID)
	}
	out := response{status: 200, header: http.Header{"X-Amzn-Requestid": {requestID}}}
	switch r.protocol {
	case query:
		out.header.Set("Content-Type", "text/xml")
		out.body = r.queryResult(answer, requestID)
	case json10, json11, restJSON:
		out.header.Set("Content-Type", "application/x-amz-json-1.0")
		out.body, err = json.Marshal(answer)
	case rpcCBOR:
		out.header.Set("Content-Type", "application/cbor")
		out.header.Set("Smithy-Protocol", "rpc-v2-cbor")
		out.body, err = cborMode.Marshal(answer)
	case restXML:
		out.header.Set("Content-Type", "text/xml")
		out.body, err = encodeRestXML(r.call.Operation, r.namespace, answer)
	case restS3:
		return encodeS3(answer)
	}
	if err != nil {
		return r.encodeError(fail(500, "InternalFailure", "encoding the answer: %v", err), requestID)
	}
	return out
}

var cborMode = func() cbor.EncMode {
	mode, err := cbor.EncOptions{Time: cbor.TimeUnix, TimeTag: cbor.EncTagRequired}.EncMode()
	if err != nil {
		panic(err)
	}
	return mode
}()

func (r *request) queryResult(answer any, requestID string) []byte {
	var b bytes.Buffer
	op := r.call.Operation
	if r.call.Service == "ec2" {
		return ec2Result(op, r.namespace, answer, requestID)
	}
	fmt.Fprintf(&b, `<%sResponse xmlns=%q>`, op, r.namespace)
	if answer != nil {
		e := xml.NewEncoder(&b)
		if err := e.EncodeElement(answer, xml.StartElement{Name: xml.Name{Local: op + "Result"}}); err != nil {
			panic(err) // our own structs
		}
		e.Flush()
	}
	fmt.Fprintf(&b, `<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>`, requestID, op)
	return b.Bytes()
}

func (r *request) encodeError(err error, requestID string) response {
	f, ok := err.(*Failure)
	if !ok {
		f = fail(500, "InternalFailure", "%v", err)
	}
	out := response{status: f.Status, header: http.Header{"X-Amzn-Requestid": {requestID}}}
	fault := map[string]any{"__type": f.Code, "message": f.Message}
	maps.Copy(fault, f.Detail)
	switch r.protocol {
	case query, restXML:
		out.header.Set("Content-Type", "text/xml")
		if messages, ok := f.Detail["messages"].([]string); ok { // a refused batch has a root of its own
			out.body = refusedBatch(messages, requestID)
			break
		}
		if r.call.Service == "ec2" {
			out.body = ec2Error(f, requestID)
			break
		}
		out.body = fmt.Appendf(nil, `<ErrorResponse xmlns=%q><Error><Type>Sender</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%s</RequestId></ErrorResponse>`,
			r.namespace, f.Code, escape(f.Message), requestID)
	case json10, json11, restJSON:
		out.header.Set("Content-Type", "application/x-amz-json-1.0")
		out.header.Set("X-Amzn-ErrorType", f.Code)
		out.body, _ = json.Marshal(fault)
	case rpcCBOR:
		out.header.Set("Content-Type", "application/cbor")
		out.header.Set("Smithy-Protocol", "rpc-v2-cbor")
		out.body, _ = cbor.Marshal(fault)
	case restS3:
		out.header.Set("Content-Type", "application/xml")
		out.body = fmt.Appendf(nil, `<Error><Code>%s</Code><Message>%s</Message><RequestId>%s</RequestId></Error>`, f.Code, escape(f.Message), requestID)
	}
	return out
}

func escape(s string) string {
	var b bytes.Buffer
	if err := xml.EscapeText(&b, []byte(s)); err != nil {
		return ""
	}
	return b.String()
}

func secondsOf(v float64) time.Duration { return time.Duration(v * float64(time.Second)) }

func (r response) http(req *http.Request) *http.Response {
	if r.header == nil {
		r.header = http.Header{}
	}
	r.header.Set("Content-Length", strconv.Itoa(len(r.body)))
	return &http.Response{
		Status: strconv.Itoa(r.status) + " " + http.StatusText(r.status), StatusCode: r.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: r.header, Body: nopCloser{bytes.NewReader(r.body)}, ContentLength: int64(len(r.body)), Request: req,
	}
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }
