package replica

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
	"dr-orchestrator/internal/succession"
)

// Only what this run promotes is noted, and only once that can be seen.
func TestNoteOf(t *testing.T) {
	alone := Instance{ID: "orders", ARN: replicaARN, Status: statusAvailable}
	replica := Instance{ID: "orders", ARN: replicaARN, Status: statusAvailable, Source: sourceARN}
	with := func(i Instance, change func(*Instance)) Instance { change(&i); return i }
	began := noon.Add(-time.Minute)
	asked := map[string]string{memoSource: sourceARN, stepPromote + "requestedAt": noon.Format(time.RFC3339)}
	more := func(name, value string) map[string]string {
		memo := map[string]string{name: value}
		for k, v := range asked {
			if k != name {
				memo[k] = v
			}
		}
		return memo
	}
	lost := action.Drive{StartedAt: began, Changed: action.ChangeUnknown, Interruptions: 1}
	for _, tt := range []struct {
		name  string
		sees  Instance
		drive action.Drive
		seen  string // by the preflight
		want  string
	}{
		{"promoted by us", alone, action.Drive{Memo: asked}, "", succession.PromotedNote(sourceARN, noon)},
		{"promoted by us, at the backup", with(alone, func(i *Instance) { i.Status = statusBackingUp }), action.Drive{Memo: asked}, "", succession.PromotedNote(sourceARN, noon)},
		{"being promoted by us", with(replica, func(i *Instance) { i.Status = statusModifying }), action.Drive{Memo: asked}, "", succession.PromotedNote(sourceARN, noon)},
		{"asked for, and nothing runs yet", replica, action.Drive{Memo: asked}, "", ""},
		{"tagged, and it is seen", with(alone, func(i *Instance) {
			i.Tags = map[string]string{succession.PromotedTag: succession.PromotedNote(sourceARN, noon)}
		}), action.Drive{Memo: asked}, "", ""},
		{"tagged, and it is not seen yet", alone, action.Drive{Memo: more(memoNote, noteSet)}, "", ""},
		{"given up", alone, action.Drive{Memo: more(memoNote, noteMissed)}, "", ""},
		{"failed once", alone, action.Drive{Memo: more(memoNote, "1")}, "", succession.PromotedNote(sourceARN, noon)},
		{"tagged by an earlier promotion", with(alone, func(i *Instance) {
			i.Tags = map[string]string{succession.PromotedTag: succession.PromotedNote(sourceARN, began)}
		}), action.Drive{Memo: asked}, "", succession.PromotedNote(sourceARN, noon)},
		{"past the time limit", alone, action.Drive{Memo: asked, Late: true}, "", ""},
		{"of a source in the same region", alone, action.Drive{Memo: more(memoSource, "orders-1")}, "", ""},

		{"promoted by somebody else", alone, action.Drive{Changed: action.ChangeNo}, "", ""},
		{"promoted by somebody else since the preflight", alone, action.Drive{Changed: action.ChangeNo}, sourceARN, ""},
		{"the same, and the backups were set", alone, action.Drive{Changed: action.ChangeYes}, sourceARN, ""},
		{"AWS turned our call away: somebody was at work", alone, action.Drive{Changed: action.ChangeUnknown, Memo: map[string]string{memoSource: sourceARN}}, sourceARN, ""},
		{"our call had no answer", alone, lost, sourceARN, succession.PromotedNote(sourceARN, began)},
		{"our call had no answer, and the source was not seen", alone, lost, "", ""},
		{"our call had no answer, and something runs", with(replica, func(i *Instance) { i.Status = statusModifying }), lost, sourceARN, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := action.Request[PromoteParameters]{Parameters: parameters, Drive: tt.drive, Now: noon, Resource: action.Resource{Seen: tt.seen}}
			if got := noteOf(req, tt.sees, req.Asked(stepPromote)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

// A promotion ends well, whatever becomes of its tag.
func TestATagThatFailsIsTriedAgainAndThenTold(t *testing.T) {
	for _, status := range []string{"available", "storage-optimization"} {
		t.Run(status, func(t *testing.T) { tagFails(t, status) })
	}
}

// tagFails promotes an instance that ends with a status.
func tagFails(t *testing.T, status string) {
	m := newMachine(t, parameters, action.StateReady)
	m.account.shows(instance("available", sourceARN, 0))
	m.drive(t)
	m.account.tag.err = coded("AccessDenied")
	m.account.shows(instance("backing-up", "", 1))
	for range 5 { // as long as AWS is at work, it costs nothing
		m.now = m.now.Add(4 * time.Second)
		m.drive(t)
	}
	m.account.shows(instance(status, "", 1))
	m.account.tag.asks = nil
	var got []action.Status
	var last action.Answer
	for range 3 {
		m.now = m.now.Add(20 * time.Second)
		answer, class := m.drive(t)
		if class != "" {
			t.Fatalf("class %s", class)
		}
		got, last = append(got, answer.Status), answer
	}
	want := []action.Status{action.InProgress, action.InProgress, action.Done}
	if diff := cmp.Diff(want, got); diff != "" || len(m.account.tag.asks) != noteTries {
		t.Errorf("%d calls: %s", len(m.account.tag.asks), diff)
	}
	if last.Evidence[evidenceUntagged] == nil {
		t.Errorf("the report does not tell: %+v", last)
	}
	ask := m.account.tag.asks[0]
	if aws.ToString(ask.ResourceName) != replicaARN || aws.ToString(ask.Tags[0].Key) != succession.PromotedTag || aws.ToString(ask.Tags[0].Value) != succession.PromotedNote(sourceARN, noon) {
		t.Errorf("asked for %+v", ask)
	}
}

// The preflight notes what a replica replicates.
func TestPreflightSeesTheSource(t *testing.T) {
	for source, want := range map[string]string{sourceARN: sourceARN, "": ""} {
		a := &account{}
		a.lags(1, noon, time.Minute)
		a.shows(instance("available", source, 1))
		ready, err := Promotion{RDS: a, Lags: lag.CloudWatch{API: a}}.Preflight(t.Context(), action.Request[PromoteParameters]{Parameters: parameters, Now: noon})
		if err != nil || ready.Seen != want {
			t.Errorf("%q, %v, want %q", ready.Seen, err, want)
		}
	}
}
