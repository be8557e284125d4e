package lab

import (
	"bufio"
	"bytes"
	"encoding/xml"
	"io"
	"net/http"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Bucket is the run's bucket of a region, which stands in every lab.
func (a *Account) Bucket(region string) string {
	return "dr-orchestrator-" + a.Estate.Account + "-" + region
}

type s3Params struct{ bucket, key, prefix string }

// decodeS3 reads bucket, key and operation, in path style and in virtual-host
// style.
func decodeS3(r *http.Request, c *Call) error {
	host, _, _ := strings.Cut(r.Host, ":")
	path := strings.TrimPrefix(r.URL.Path, "/")
	var p s3Params
	if label, rest, ok := strings.Cut(host, "."); ok && strings.HasPrefix(rest, "s3") {
		p.bucket, p.key = label, path
	} else {
		p.bucket, p.key, _ = strings.Cut(path, "/")
	}
	p.prefix = r.URL.Query().Get("prefix")
	switch {
	case r.Method == http.MethodPut && p.key != "":
		c.Operation = "PutObject"
	case (r.Method == http.MethodGet || r.Method == http.MethodHead) && p.key != "":
		c.Operation = "GetObject" // IAM knows no HeadObject
	case r.Method == http.MethodGet:
		c.Operation = "ListBucket"
	default:
		return fail(405, "MethodNotAllowed", "the lab's S3 knows GetObject, PutObject and ListObjectsV2")
	}
	c.Params = params{tree: map[string]any{"Bucket": p.bucket, "Key": p.key, "Prefix": p.prefix}}
	if strings.Contains(r.Header.Get("Content-Encoding"), "aws-chunked") || strings.HasPrefix(r.Header.Get("X-Amz-Content-Sha256"), "STREAMING-") {
		body, err := dechunk(c.Body)
		if err != nil {
			return fail(400, "IncompleteBody", "%v", err)
		}
		c.Body = body
	}
	return nil
}

// dechunk undoes the aws-chunked encoding in which SDKs send bodies whose
// checksum follows as a trailer.
func dechunk(body []byte) ([]byte, error) {
	r := bufio.NewReader(bytes.NewReader(body))
	var out []byte
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return nil, err
		}
		size, _, _ := strings.Cut(strings.TrimSpace(line), ";")
		n, err := strconv.ParseInt(size, 16, 64)
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return out, nil
		}
		chunk := make([]byte, n+2)
		if _, err := io.ReadFull(r, chunk); err != nil {
			return nil, err
		}
		out = append(out, chunk[:n]...)
	}
}

type s3Object struct{ body []byte }

var objectService = map[string]handler{
	"s3:PutObject": func(a *Account, c *Call) (any, error) {
		a.PutObject(c.Params.str("Bucket"), c.Params.str("Key"), c.Body)
		return s3Object{}, nil
	},
	"s3:GetObject": func(a *Account, c *Call) (any, error) {
		name := c.Params.str("Bucket") + "/" + c.Params.str("Key")
		body, ok := a.objects[name]
		if !ok {
			// Who may not list a bucket is not told what is missing from it (S3 API
			// reference, GetObject, "Permissions").
			list := *c
			list.Operation = "ListBucket"
			if err := a.permit(&list); err != nil {
				return nil, err
			}
		}
		if !ok || (c.notFound && a.fresh[name]) {
			return nil, fail(404, "NoSuchKey", "The specified key does not exist.")
		}
		delete(a.fresh, name)
		return s3Object{body}, nil
	},
	"s3:ListBucket": func(a *Account, c *Call) (any, error) {
		type content struct {
			Key  string `xml:"Key"`
			Size int    `xml:"Size"`
			Time string `xml:"LastModified"`
		}
		var out struct {
			XMLName  xml.Name  `xml:"ListBucketResult"`
			Name     string    `xml:"Name"`
			Contents []content `xml:"Contents"`
		}
		out.Name = c.Params.str("Bucket")
		for name, body := range a.objects {
			bucket, key, _ := strings.Cut(name, "/")
			if bucket == out.Name && strings.HasPrefix(key, c.Params.str("Prefix")) {
				out.Contents = append(out.Contents, content{key, len(body), a.clock.start.UTC().Format(time.RFC3339)})
			}
		}
		sort.Slice(out.Contents, func(i, j int) bool { return out.Contents[i].Key < out.Contents[j].Key })
		return out, nil
	},
}

// PutObject stores an object.
func (a *Account) PutObject(bucket, key string, body []byte) {
	name := bucket + "/" + key
	if _, ok := a.objects[name]; !ok {
		a.fresh[name] = true
	}
	a.objects[name] = bytes.Clone(body)
}

// Object reads an object.
func (a *Account) Object(bucket, key string) ([]byte, bool) {
	body, ok := a.objects[bucket+"/"+key]
	return body, ok
}

func encodeS3(answer any) response {
	out := response{status: 200, header: http.Header{}}
	if object, ok := answer.(s3Object); ok {
		out.header.Set("Content-Type", "application/json")
		out.header.Set("ETag", `"lab"`)
		out.body = object.body
		return out
	}
	out.header.Set("Content-Type", "application/xml")
	body, err := xml.Marshal(answer)
	if err != nil {
		panic(err) // our own structs
	}
	out.body = body
	return out
}
