package run

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/emf"
	"dr-orchestrator/internal/report"
)

// ReadinessFolder is where, in the bucket of runs, it stands whether the stored
// payloads are ready.
const ReadinessFolder = "runs/readiness/"

// ReadinessKey is where it stands of one stored payload.
func ReadinessKey(payload string) string { return ReadinessFolder + payload + ".json" }

// CheckedPayload is what the last check of a stored payload came to.
type CheckedPayload struct {
	Version    int       `json:"version"`
	Payload    string    `json:"payload"`
	Ready      bool      `json:"ready"`
	Since      time.Time `json:"since"` // when it became so
	CheckedAt  time.Time `json:"checkedAt"`
	Execution  string    `json:"execution"`
	Cause      string    `json:"cause"`
	Identities []string  `json:"identities"` // what it changes
}

// ReadinessChanged is the detail of the event Readiness Changed. Was is null at
// the first check of a payload.
type ReadinessChanged struct {
	Version   int       `json:"version"`
	Payload   string    `json:"payload"`
	Region    string    `json:"region"`
	Ready     bool      `json:"ready"`
	Was       *bool     `json:"was"`
	Since     time.Time `json:"since"`
	Cause     string    `json:"cause"`
	Execution string    `json:"execution"`
	Report    Location  `json:"report"`
}

// isCheck reports the check of a stored payload, by the name of the execution.
// PrepareRun refuses a run of such a name.
func isCheck(name string) bool { return strings.HasPrefix(name, ReadinessPrefix) }

// endedCheck reports whether what ended was a check: a run that was refused for
// its name says nothing about a stored payload. Where no payload could be read
// there is no mode.
func endedCheck(record report.Record, name string) bool {
	return isCheck(name) && (record.Mode == "plan" || record.Mode == "")
}

// checkedPayload gives the name of the stored payload that an execution checks.
func checkedPayload(record report.Record, name string) string {
	if record.Source != "" {
		return strings.TrimSuffix(path.Base(record.Source), ".json")
	}
	rest := strings.TrimPrefix(name, ReadinessPrefix)
	if i := strings.LastIndex(rest, "-"); i > 0 {
		return rest[:i]
	}
	return rest
}

// judgeCheck keeps what a check came to, and tells where that is another thing
// than before. Nobody wants to hear every half hour that all is well.
func (r Reporter) judgeCheck(ctx context.Context, in ReportInput, record report.Record, at Location) error {
	name := checkedPayload(record, in.Execution.Name)
	region := strings.Split(in.Execution.ID+":::::", ":")[3]
	now := CheckedPayload{
		Version: 1, Payload: name, Ready: record.Outcome == report.Succeeded, Since: record.EndedAt.UTC(), CheckedAt: record.EndedAt.UTC(),
		Execution: in.Execution.ID, Cause: brief(record.Cause), Identities: []string{},
	}
	if now.Ready {
		now.Cause = ""
	}
	if err := emf.Write(r.Metrics, emf.Line{
		Namespace: MetricNamespace, Time: record.EndedAt, Sets: [][]string{{DimensionDeployment}, {DimensionDeployment, DimensionPayload}},
		Values:  map[string]string{DimensionDeployment: r.Deployment, DimensionPayload: name, "execution": in.Execution.ID},
		Metrics: []emf.Metric{{Name: MetricPlanReady, Unit: emf.None, Value: truth(now.Ready)}},
	}); err != nil {
		return err
	}
	if in.Planned {
		var plan Plan
		if err := r.Store.get(ctx, in.run(), docPlan, &plan); err != nil {
			return err
		}
		now.Identities = append(now.Identities, plan.identities(nil)...)
	}
	changed := ReadinessChanged{Version: EventVersion, Payload: name, Region: region, Ready: now.Ready, Cause: now.Cause, Execution: in.Execution.ID, Report: at}
	var before CheckedPayload
	err := r.Store.getKey(ctx, ReadinessKey(name), &before)
	switch {
	case err == nil:
		changed.Was = &before.Ready
		if before.Ready == now.Ready {
			now.Since = before.Since
		}
	case action.ClassOf(err) != action.NotFound:
		return err
	}
	changed.Since = now.Since
	body, err := json.Marshal(now)
	if err != nil {
		return err
	}
	if _, err := r.Store.S3.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(r.Store.Bucket), Key: aws.String(ReadinessKey(name)), Body: bytes.NewReader(body), ContentType: aws.String("application/json"),
	}); err != nil {
		return action.Call("writing whether "+name+" is ready", err)
	}
	if changed.Was != nil && *changed.Was == changed.Ready {
		return nil
	}
	if err := Send(ctx, r.Events, Entry{DetailType: EventReadinessChanged, Detail: changed, Resource: in.Execution.ID, Time: record.EndedAt}); err != nil {
		return err
	}
	if r.Topic == "" || (changed.Was == nil && changed.Ready) {
		return nil
	}
	_, err = r.Notices.Publish(ctx, &sns.PublishInput{TopicArn: aws.String(r.Topic), Subject: aws.String(Subject(readinessHeadline(changed))), Message: aws.String(readinessMessage(changed))})
	return err
}

func readinessHeadline(c ReadinessChanged) string {
	if c.Ready {
		return "Ready again: the plan " + c.Payload
	}
	return "NOT ready: the plan " + c.Payload
}

func readinessMessage(c ReadinessChanged) string {
	text := fmt.Sprintf("%s (%s)\n", readinessHeadline(c), c.Region)
	if c.Cause != "" {
		text += c.Cause + "\n"
	}
	return text + fmt.Sprintf("\n%s\n\nReport:\n  aws s3 cp s3://%s/%s -\nCheck again:\n  aws stepfunctions start-execution --region %s --state-machine-arn %s --input '{\"Payload\":\"%s\",\"Options\":{\"Mode\":\"plan\"}}'\n",
		c.Execution, c.Report.Bucket, c.Report.Key, c.Region, machineOf(c.Execution), c.Payload)
}

// machineOf gives the alias of the machine of an execution.
func machineOf(execution string) string {
	head := strings.Replace(execution, ":execution:", ":stateMachine:", 1)
	if i := strings.LastIndex(head, ":"); i > 0 {
		head = head[:i]
	}
	return head + ":live"
}
