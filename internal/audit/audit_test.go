package audit

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)

func accepted(n int) Call {
	return Call{At: noon.Add(time.Duration(n) * time.Second), Service: "rds", Operation: "PromoteReadReplica", RequestID: fmt.Sprint("id-", n)}
}

func turnedAway(n int) Call {
	c := accepted(n)
	c.Error = "InvalidDBInstanceState: busy"
	return c
}

func unanswered(n int) Call {
	c := accepted(n)
	c.RequestID, c.Error = "", "no answer"
	return c
}

func TestKeep(t *testing.T) {
	many := func(n int, kind func(int) Call) (calls []Call) {
		for i := range n {
			calls = append(calls, kind(i))
		}
		return calls
	}
	for _, tt := range []struct {
		name  string
		calls []Call
		want  []Call
		lost  int
	}{
		{"none", nil, nil, 0},
		{"one", []Call{accepted(1)}, []Call{accepted(1)}, 0},
		{"as many as fit", many(Most, accepted), many(Most, accepted), 0},
		{"one too many: the oldest goes", many(Most+1, accepted), many(Most+1, accepted)[1:], 1},
		{"one that was turned away goes first", append(many(Most, accepted), turnedAway(30), accepted(31)), append(many(Most, accepted)[1:], accepted(31)), 2},
		{"one without an answer stays", append(many(Most-1, turnedAway), unanswered(30), accepted(31)), append(many(Most-1, turnedAway)[1:], unanswered(30), accepted(31)), 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			memo := map[string]string{"other": "kept"}
			for _, c := range tt.calls {
				Keep(memo, c)
			}
			got, lost := Kept(memo)
			if diff := cmp.Diff(tt.want, got); diff != "" || lost != tt.lost || memo["other"] != "kept" {
				t.Errorf("lost %d, want %d; calls (-want +got):\n%s", lost, tt.lost, diff)
			}
			if len(memo) > Most+2 {
				t.Errorf("%d notes", len(memo))
			}
		})
	}
}

// What travels through the state machine is bounded, whatever AWS says.
func TestKeepIsBounded(t *testing.T) {
	memo := map[string]string{}
	for i := range 3 * Most {
		c := turnedAway(i)
		c.Error = strings.Repeat("ü", 5000)
		Keep(memo, c)
	}
	size := 0
	for name, note := range memo {
		if size += len(name) + len(note); !utf8.ValidString(note) {
			t.Errorf("%s is %q", name, note)
		}
	}
	if size > 10_000 {
		t.Errorf("%d bytes", size)
	}
	if calls, lost := Kept(memo); len(calls) != Most || lost != 2*Most {
		t.Errorf("%d calls, %d lost", len(calls), lost)
	}
}

func TestKeptOfNotesThatAreNone(t *testing.T) {
	calls, lost := Kept(map[string]string{"call01": "{", "call02": `{"at":"2026-03-01T12:00:00Z","operation":"X"}`, "callsDropped": "many"})
	if len(calls) != 1 || lost != 1 || !calls[0].Known() {
		t.Errorf("%v, %d", calls, lost)
	}
}

func TestContext(t *testing.T) {
	if From(context.Background()) != nil {
		t.Error("a recorder from nowhere")
	}
	r := &Recorder{}
	From(With(context.Background(), r)).Note(accepted(1))
	if len(r.Calls()) != 1 {
		t.Error(r.Calls())
	}
}
