package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	"github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/report"
	"dr-orchestrator/internal/run"
)

// lists tells of executions and of the children of their maps.
type lists interface {
	ListExecutions(context.Context, *sfn.ListExecutionsInput, ...func(*sfn.Options)) (*sfn.ListExecutionsOutput, error)
}

// answerWithin is how long one call may take, its repetitions included. A line
// that has gone dead says nothing: only a limit tells it from a slow one.
const answerWithin = 10 * time.Second

// quietFor is after what time without a complete look that is told.
const quietFor = 5 * time.Second

// looksAtOnce is how many children are looked at in one round. Each look is one
// call, and Step Functions gives an account some 20 a second, which the run's
// own console and everybody else's share.
const looksAtOnce = 8

// fewChildren is up to how many children of a layer those that ended are read
// one by one. Of more, the running ones come first, and the others are told by
// the results of their layer.
const fewChildren = 100

// The stages of a resource that is watched. The ends are those of its report.
const (
	stageWaiting report.Status = "WAITING" // its layer has not begun
	stageRunning report.Status = "RUNNING"
	stageEnded   report.Status = "ENDED" // it is not read yet how
)

// watchedResource is one resource as it was seen last.
type watchedResource struct {
	index, layer   int
	name           string
	status         report.Status
	phase, message string
	began, ended   time.Time
	child          string    // ARN of the execution that drives it
	looked         time.Time // when that was last looked at, by our own clock
}

func (r *watchedResource) over() bool { return r.status != stageWaiting && r.status != stageRunning }

func (r *watchedResource) failed() bool {
	return r.status == report.Failed || r.status == report.RefusedHere
}

// watchedLayer is one layer.
type watchedLayer struct {
	number    int
	resources []*watchedResource
	begun     bool // of those that wait it is only not seen yet what they do
}

// pending is a question that a run waits for an answer to.
type pending struct {
	asked    time.Time
	resource *run.ApprovalRef // that asks; nil: the run itself, before its first change
	told     bool

	Question string    `json:"question"`
	Until    time.Time `json:"until"`
	Approve  string    `json:"approve"` // the commands that answer
	Decline  string    `json:"decline"`
}

// String is the question as a person is asked it.
func (p pending) String() string {
	return fmt.Sprintf("It waits for an answer until %s UTC: %s", p.Until.UTC().Format("2006-01-02 15:04:05"), p.Question)
}

// change is one thing that is new, as it is told where no screen is.
type change struct {
	Time     time.Time `json:"time"`
	State    string    `json:"state,omitempty"`    // of the run
	Layer    *int      `json:"layer,omitempty"`    // of a resource
	Resource string    `json:"resource,omitempty"` // empty: the run itself
	Status   string    `json:"status,omitempty"`
	Phase    string    `json:"phase,omitempty"`
	Message  string    `json:"message,omitempty"`
	Approval *pending  `json:"approval,omitempty"`
	Trouble  string    `json:"trouble,omitempty"` // why nothing can be seen at present
}

// watcher follows an execution by what Step Functions and the run's bucket
// tell of it. It looks, and changes nothing.
type watcher struct {
	remote *remote
	lists  lists
	arn    string

	mu        sync.Mutex                   // held while what follows is changed or drawn, and not while AWS is asked
	execution *sfn.DescribeExecutionOutput // nil: not seen yet
	state     string                       // entered last
	question  *pending                     // nil: it waits for no answer
	layers    []*watchedLayer
	changes   []change // since they were last taken

	lastEvent int64
	recording int // layer whose results are being recorded
	trace     trace
	planned   bool
	mapRun    string                      // of the layer that is driven; empty: none
	children  map[string]*watchedResource // nil: not known yet which
	closed    map[string]types.ExecutionListItem
	skew      time.Duration // of AWS's clock before ours
	fresh     time.Time     // when the last complete look ended, by our own clock
	within    time.Duration // how long one call may take
}

func newWatcher(r *remote, arn string) *watcher {
	return &watcher{remote: r, lists: r.lists, arn: arn, fresh: r.clock.Now(), within: answerWithin, children: map[string]*watchedResource{}, closed: map[string]types.ExecutionListItem{}}
}

// now estimates the time on AWS's clock: the latest that was seen, and what has
// passed since. A lab's clock may run faster than ours.
func (w *watcher) now() time.Time { return w.remote.clock.Now().Add(w.skew) }

func (w *watcher) saw(t time.Time) {
	if ahead := t.Sub(w.remote.clock.Now()); ahead > w.skew {
		w.skew = ahead
	}
}

// over reports whether the execution has ended.
func (w *watcher) over() bool { return w.execution != nil && !running(w.execution.Status) }

// trouble says for how long nothing new could be seen, and why if that is known;
// empty: all is well.
func (w *watcher) trouble(cause string) string {
	quiet := w.remote.clock.Now().Sub(w.fresh)
	switch {
	case cause != "":
		return fmt.Sprintf("no connection for %s, trying again: %s", spent(quiet), cause)
	case quiet > quietFor && !w.over():
		return fmt.Sprintf("nothing new from AWS for %s", spent(quiet))
	}
	return ""
}

// apart asks AWS without the lock, so that a screen can be drawn meanwhile.
func apart[T any](ctx context.Context, w *watcher, ask func(context.Context) (T, error)) (T, error) {
	w.mu.Unlock()
	defer w.mu.Lock()
	ctx, cancel := context.WithTimeout(ctx, w.within)
	defer cancel()
	return ask(ctx)
}

// round looks once at everything that may be new.
func (w *watcher) round(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.lookAround(ctx)
	if err == nil {
		w.fresh = w.remote.clock.Now()
	}
	return err
}

func (w *watcher) lookAround(ctx context.Context) error {
	d, err := apart(ctx, w, func(ctx context.Context) (*sfn.DescribeExecutionOutput, error) {
		return w.remote.executions.DescribeExecution(ctx, &sfn.DescribeExecutionInput{ExecutionArn: &w.arn})
	})
	if err != nil {
		return err
	}
	w.execution = d
	events, err := w.news(ctx)
	if err != nil {
		return err
	}
	for _, e := range events {
		w.event(ctx, e)
	}
	if !w.planned && w.trace.bucket != "" {
		w.planned = w.plan(ctx)
	}
	w.ask()
	if w.mapRun != "" && running(d.Status) {
		return w.drive(ctx)
	}
	return nil
}

// news gives the events of the execution since the last round, oldest first.
func (w *watcher) news(ctx context.Context) ([]types.HistoryEvent, error) {
	var all []types.HistoryEvent
	pages := sfn.NewGetExecutionHistoryPaginator(w.remote.executions, &sfn.GetExecutionHistoryInput{ExecutionArn: &w.arn, ReverseOrder: true, MaxResults: 100, IncludeExecutionData: aws.Bool(true)})
	for pages.HasMorePages() {
		page, err := apart(ctx, w, func(ctx context.Context) (*sfn.GetExecutionHistoryOutput, error) { return pages.NextPage(ctx) })
		if err != nil {
			return nil, err
		}
		known := slices.IndexFunc(page.Events, func(e types.HistoryEvent) bool { return e.Id <= w.lastEvent })
		if known >= 0 {
			all = append(all, page.Events[:known]...)
			break
		}
		all = append(all, page.Events...)
	}
	if len(all) > 0 {
		w.lastEvent = all[0].Id
	}
	slices.Reverse(all)
	return all, nil
}

// event takes one event of the execution itself in.
func (w *watcher) event(ctx context.Context, e types.HistoryEvent) {
	w.saw(aws.ToTime(e.Timestamp))
	switch {
	case e.StateEnteredEventDetails != nil:
		w.state, w.question = aws.ToString(e.StateEnteredEventDetails.Name), nil
		w.changes = append(w.changes, change{Time: aws.ToTime(e.Timestamp), State: w.state})
	case e.MapRunStartedEventDetails != nil:
		w.mapRun = ""
		if arn := aws.ToString(e.MapRunStartedEventDetails.MapRunArn); run.IsLayerMap(arn) {
			w.mapRun = arn
		}
	case e.TaskScheduledEventDetails != nil && w.state == stateApproval:
		var asked struct{ Payload run.ApprovalInput }
		if json.Unmarshal([]byte(aws.ToString(e.TaskScheduledEventDetails.Parameters)), &asked) == nil {
			w.question = w.asks(asked.Payload, aws.ToTime(e.Timestamp))
		}
	case e.TaskScheduledEventDetails != nil && w.state == stateRecord:
		var asked struct{ Payload run.LayerInput }
		if json.Unmarshal([]byte(aws.ToString(e.TaskScheduledEventDetails.Parameters)), &asked) == nil {
			w.recording, w.mapRun = asked.Payload.Layer.Layer, ""
		}
	case e.TaskSucceededEventDetails != nil && w.state == statePrepare:
		var answer struct{ Payload run.Prepared }
		if json.Unmarshal([]byte(aws.ToString(e.TaskSucceededEventDetails.Output)), &answer) == nil {
			w.trace.bucket, w.trace.startedAt = answer.Payload.Preflight.Bucket, answer.Payload.Run.StartedAt
		}
	case e.TaskSucceededEventDetails != nil && w.state == stateRecord:
		var items []run.Item
		if w.object(ctx, run.ResultsKey(w.arn, w.trace.startedAt, w.recording), &items) {
			for _, item := range items {
				w.settle(w.resource(item.Index, w.recording, item.Name), item)
			}
		}
	}
}

// The states that judge a layer, and wait for a person.
const (
	stateRecord   = "RecordLayer"
	stateApproval = "RequestApproval"
)

// asks reads what a run asks a person, and from when on.
func (w *watcher) asks(in run.ApprovalInput, at time.Time) *pending {
	p := &pending{asked: at, resource: in.Layer, Question: "may it make its first change?", Until: at.Add(time.Duration(in.Seconds) * time.Second)}
	if in.Layer != nil {
		p.Question = report.Line(strings.TrimSuffix(in.Layer.Name+": "+in.Layer.Message, ": "))
	}
	p.Approve, p.Decline = w.remote.answers(w.arn)
	return p
}

// ask tells the question that is open, once, and shows it at the resource that
// asks.
func (w *watcher) ask() {
	p := w.question
	if p == nil || p.told || w.over() {
		return
	}
	p.told = true
	w.changes = append(w.changes, change{Time: p.asked, Approval: p})
	if p.resource == nil {
		return
	}
	for _, l := range w.layers {
		for _, r := range l.resources {
			if r.index == p.resource.Index {
				l.begun = true
				r.status, r.began, r.phase, r.message = stageRunning, p.asked, "approval", p.resource.Message
			}
		}
	}
}

// plan learns from the run's bucket what there is to do.
func (w *watcher) plan(ctx context.Context) bool {
	var plan run.Plan
	if !w.object(ctx, run.PlanKey(w.arn, w.trace.startedAt), &plan) {
		return false
	}
	for _, layer := range plan.Layers {
		for _, r := range layer.Resources {
			w.resource(r.Index, layer.Layer, r.Name)
		}
	}
	return true
}

// object reads a document of the run. Whoever may not read the bucket sees a
// little less.
func (w *watcher) object(ctx context.Context, key string, into any) bool {
	body, err := apart(ctx, w, func(ctx context.Context) ([]byte, error) {
		out, err := w.remote.reports.GetObject(ctx, &s3.GetObjectInput{Bucket: &w.trace.bucket, Key: &key})
		if err != nil {
			return nil, err
		}
		defer out.Body.Close()
		return io.ReadAll(out.Body)
	})
	return err == nil && json.Unmarshal(body, into) == nil
}

// resource finds a resource in the tree, and puts it there.
func (w *watcher) resource(index, layer int, name string) *watchedResource {
	at, found := slices.BinarySearchFunc(w.layers, layer, func(l *watchedLayer, n int) int { return l.number - n })
	if !found {
		w.layers = slices.Insert(w.layers, at, &watchedLayer{number: layer})
	}
	l := w.layers[at]
	i, found := slices.BinarySearchFunc(l.resources, index, func(r *watchedResource, n int) int { return r.index - n })
	if !found {
		l.resources = slices.Insert(l.resources, i, &watchedResource{index: index, layer: layer, name: name, status: stageWaiting})
	}
	return l.resources[i]
}

// drive looks at the children of the layer that is driven: at all of them
// together, and at some of them more closely.
func (w *watcher) drive(ctx context.Context) error {
	pages := sfn.NewListExecutionsPaginator(w.lists, &sfn.ListExecutionsInput{MapRunArn: &w.mapRun, MaxResults: 1000})
	var open, ended []string
	for pages.HasMorePages() {
		page, err := apart(ctx, w, func(ctx context.Context) (*sfn.ListExecutionsOutput, error) { return pages.NextPage(ctx) })
		if err != nil {
			return err
		}
		for _, e := range page.Executions {
			arn := aws.ToString(e.ExecutionArn)
			r := w.children[arn]
			switch {
			case running(e.Status):
				open = append(open, arn)
			case r == nil || r.status == stageRunning || r.status == stageEnded:
				w.closed[arn] = e
				ended = append(ended, arn)
				if r != nil && r.status == stageRunning {
					r.status, r.ended = stageEnded, aws.ToTime(e.StopDate)
				}
			}
		}
	}
	oldest := func(a, b string) int { return w.lookedAt(a).Compare(w.lookedAt(b)) }
	slices.Sort(open)
	slices.SortStableFunc(open, oldest)
	slices.Sort(ended)
	order := append(ended, open...)
	if len(open)+len(ended) > fewChildren {
		order = append(open, ended...)
	}
	for _, arn := range order[:min(len(order), looksAtOnce)] {
		if err := w.look(ctx, arn); err != nil {
			return err
		}
	}
	return nil
}

func (w *watcher) lookedAt(child string) time.Time {
	if r := w.children[child]; r != nil {
		return r.looked
	}
	return time.Time{}
}

// look reads the newest events of a child: which resource it drives, what its
// function said last, and how it ended.
func (w *watcher) look(ctx context.Context, arn string) error {
	out, err := apart(ctx, w, func(ctx context.Context) (*sfn.GetExecutionHistoryOutput, error) {
		return w.remote.executions.GetExecutionHistory(ctx, &sfn.GetExecutionHistoryInput{ExecutionArn: &arn, ReverseOrder: true, MaxResults: 30, IncludeExecutionData: aws.Bool(true)})
	})
	if err != nil {
		return err
	}
	r := w.children[arn]
	if r == nil {
		if r = w.driven(out.Events); r == nil {
			return nil // it has only just been started
		}
		w.children[arn], r.child, r.status = r, arn, stageRunning
	}
	r.looked = w.remote.clock.Now()
	said := false
	for _, e := range out.Events {
		w.saw(aws.ToTime(e.Timestamp))
		if e.ExecutionSucceededEventDetails != nil {
			var item run.Item
			if json.Unmarshal([]byte(aws.ToString(e.ExecutionSucceededEventDetails.Output)), &item) == nil {
				w.settle(r, item)
				return nil
			}
		}
		if said {
			continue
		}
		said = w.words(r, e)
	}
	if closed, over := w.closed[arn]; over && r.status == stageRunning {
		r.status, r.ended = stageEnded, aws.ToTime(closed.StopDate)
	}
	return nil
}

// driven reads which resource a child drives from the events of its function.
func (w *watcher) driven(events []types.HistoryEvent) *watchedResource {
	for _, e := range events {
		var resource *action.Resource
		var startedAt time.Time
		switch {
		case e.TaskScheduledEventDetails != nil:
			var asked struct {
				Payload struct {
					Resource  *action.Resource
					Resources []action.Resource
					Drive     *action.Drive
				}
			}
			if json.Unmarshal([]byte(aws.ToString(e.TaskScheduledEventDetails.Parameters)), &asked) != nil {
				continue
			}
			if resource = asked.Payload.Resource; resource == nil && len(asked.Payload.Resources) == 1 {
				resource = &asked.Payload.Resources[0]
			}
			if asked.Payload.Drive != nil {
				startedAt = asked.Payload.Drive.StartedAt
			}
		case e.ExecutionStartedEventDetails != nil:
			var input struct{ Resource *action.Resource }
			if json.Unmarshal([]byte(aws.ToString(e.ExecutionStartedEventDetails.Input)), &input) != nil {
				continue
			}
			resource, startedAt = input.Resource, aws.ToTime(e.Timestamp)
		}
		if resource == nil {
			continue
		}
		r := w.resource(resource.Index, resource.Layer, resource.Name)
		for _, l := range w.layers {
			l.begun = l.begun || l.number == r.layer
		}
		if r.began = startedAt; startedAt.IsZero() {
			r.began = aws.ToTime(e.Timestamp)
		}
		return r
	}
	return nil
}

// words takes in what the function of a resource said in an event, if anything.
func (w *watcher) words(r *watchedResource, e types.HistoryEvent) bool {
	var phase, message string
	switch {
	case e.TaskSucceededEventDetails != nil:
		var answer struct{ Payload action.Answer }
		if json.Unmarshal([]byte(aws.ToString(e.TaskSucceededEventDetails.Output)), &answer) != nil || answer.Payload.Status == "" {
			return false
		}
		phase, message = answer.Payload.Phase, answer.Payload.Message
	case e.TaskFailedEventDetails != nil:
		phase, message = aws.ToString(e.TaskFailedEventDetails.Error), report.Plain(aws.ToString(e.TaskFailedEventDetails.Cause))
	case e.TaskTimedOutEventDetails != nil:
		phase, message = "no answer", "its function did not answer in time"
	default:
		return false
	}
	if r.phase != phase || r.message != message {
		r.phase, r.message = phase, message
		w.told(r, aws.ToTime(e.Timestamp))
	}
	return true
}

// settle takes in the end of a resource.
func (w *watcher) settle(r *watchedResource, item run.Item) {
	if r.status == item.Status {
		return
	}
	r.status, r.began, r.ended, r.phase, r.message = item.Status, item.StartedAt, item.EndedAt, item.Phase, item.Message
	if item.Failure != nil {
		r.phase, r.message = item.Failure.Error, report.Plain(item.Failure.Cause)
	}
	w.told(r, item.EndedAt)
}

func (w *watcher) told(r *watchedResource, at time.Time) {
	layer := r.layer
	w.changes = append(w.changes, change{Time: at, Layer: &layer, Resource: r.name, Status: string(r.status), Phase: r.phase, Message: r.message})
}

// take gives what is new since it was last called.
func (w *watcher) take() []change {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.changes
	w.changes = nil
	return all
}

// answered reports whether an error is AWS's answer that asking again would not
// change; what is not may be the line.
func answered(err error) bool {
	var none *types.ExecutionDoesNotExist
	if errors.As(err, &none) {
		return true
	}
	var response *awshttp.ResponseError
	if !errors.As(err, &response) || action.ClassOf(err) == action.Throttled {
		return false
	}
	return response.HTTPStatusCode() >= http.StatusBadRequest && response.HTTPStatusCode() < http.StatusInternalServerError
}

// spent writes a time that has passed.
func spent(d time.Duration) string {
	s := int(max(d, 0).Seconds())
	if s >= 3600 {
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
