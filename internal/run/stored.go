package run

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/catalog"
	"dr-orchestrator/internal/payload"
)

// pointerTo is an input that names a stored payload instead of being one, so
// that a run is started from the console with one line.
type pointerTo struct {
	Payload string                     `json:"Payload"`
	Options map[string]json.RawMessage `json:"Options"` // outweigh those of the stored one
}

var storedName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)

// IsStoredName reports whether a stored payload may have this name.
func IsStoredName(name string) bool { return storedName.MatchString(name) }

// StoredKey is where the stored payload of a name stands in the bucket of runs.
func StoredKey(name string) string { return "payloads/" + name + ".json" }

// storedParameter is where it stands in SSM; prefix begins the names of the
// deployment's functions.
func storedParameter(prefix, name string) string {
	return "/" + strings.TrimSuffix(prefix, "-") + "/payloads/" + name
}

// isPointer reports an input that has the member Payload, and no StatePayload.
func isPointer(input []byte) bool {
	var members map[string]json.RawMessage
	if json.Unmarshal(input, &members) != nil {
		return false
	}
	_, points := members["Payload"]
	_, is := members["StatePayload"]
	return points && !is
}

// stored replaces an input that points to a stored payload: by the object of
// that name in the bucket, or else by the SSM parameter. source tells which.
func (p Preparer) stored(ctx context.Context, in PrepareInput, region string) (document []byte, source string, problems payload.Problems, err error) {
	const want = `{"Payload": "the name of a stored payload"}, and Options where they should differ`
	var to pointerTo
	var members map[string]json.RawMessage
	err = json.Unmarshal(in.Input, &members)
	for name := range members { // encoding/json takes names in any case
		if name != "Payload" && name != "Options" && err == nil {
			err = fmt.Errorf("it has the member %q", name)
		}
	}
	if err == nil {
		err = json.Unmarshal(in.Input, &to)
	}
	if err != nil {
		return nil, "", payload.Problems{{Message: "the input names a stored payload and is not of the right form: " + err.Error(), Want: want}}, nil
	}
	if !IsStoredName(to.Payload) {
		return nil, "", payload.Problems{{Pointer: "/Payload", Value: fmt.Sprintf("%q", to.Payload), Message: "this is no name of a stored payload", Want: "letters, digits, dots, hyphens and underscores"}}, nil
	}
	key := StoredKey(to.Payload)
	source = "s3://" + p.Store.Bucket + "/" + key
	out, err := p.Store.S3.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(p.Store.Bucket), Key: aws.String(key)})
	switch {
	case err == nil:
		defer out.Body.Close()
		if document, err = io.ReadAll(io.LimitReader(out.Body, payload.MaxBytes+1)); err != nil {
			return nil, source, nil, action.Errorf(action.Unreachable, "reading %s: %w", source, err)
		}
	case action.ClassOf(err) != action.NotFound:
		return nil, source, nil, action.Call("reading "+source, err)
	default:
		parameter := storedParameter(p.FunctionPrefix, to.Payload)
		found, err := p.Parameters(region).GetParameters(ctx, &ssm.GetParametersInput{Names: []string{parameter}})
		if err != nil {
			return nil, source, nil, action.Call("reading the SSM parameter "+parameter, err)
		}
		if len(found.Parameters) != 1 {
			return nil, source, payload.Problems{{Pointer: "/Payload", Value: fmt.Sprintf("%q", to.Payload),
				Message: "there is no stored payload of this name: neither " + source + " nor the SSM parameter " + parameter, Want: "a name that is stored in " + region}}, nil
		}
		document, source = []byte(aws.ToString(found.Parameters[0].Value)), "ssm:"+parameter
	}
	document, problems = overlaid(document, to.Options, in.Machine)
	return document, source, problems, nil
}

// overlaid puts options over those of a stored payload, which has to be right
// by itself.
func overlaid(document []byte, options map[string]json.RawMessage, machine string) ([]byte, payload.Problems) {
	if len(options) == 0 {
		return document, nil
	}
	if _, problems := payload.Parse(document, catalog.Types(), machine); len(problems) > 0 {
		return nil, problems
	}
	var members, own map[string]json.RawMessage
	if err := json.Unmarshal(document, &members); err != nil {
		return nil, payload.Problems{{Message: "the stored payload is not an object: " + err.Error()}}
	}
	own = map[string]json.RawMessage{}
	if members["Options"] != nil {
		if err := json.Unmarshal(members["Options"], &own); err != nil {
			return nil, payload.Problems{{Pointer: "/Options", Message: "not an object: " + err.Error()}}
		}
	}
	maps.Copy(own, options)
	joined, err := json.Marshal(own)
	if err == nil {
		members["Options"] = joined
		document, err = json.Marshal(members)
	}
	if err != nil {
		return nil, payload.Problems{{Pointer: "/Options", Message: err.Error()}}
	}
	return document, nil
}
