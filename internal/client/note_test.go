package client

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"dr-orchestrator/internal/audit"
)

// Every call that changes something is noted with what became of it, and no
// call that reads.
func TestCallsAreNoted(t *testing.T) {
	at := time.Date(2026, time.March, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name      string
		wire      wire
		id, error string
	}{
		{"accepted", wire{status: 200, id: "r", body: "<R></R>"}, "r", ""},
		{"turned away", wire{status: 400, body: queryError("InvalidDBInstanceState")}, "r", "InvalidDBInstanceState: m"},
		{"no answer", wire{err: io.ErrUnexpectedEOF}, "", "no answer: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range calls {
				if !strings.HasPrefix(c.name, "rds:") && !strings.HasPrefix(c.name, "elasticache:") && tt.name == "accepted" {
					continue // of another protocol
				}
				w := tt.wire
				w.body = strings.ReplaceAll(w.body, "<R>", "<R><"+c.name[strings.Index(c.name, ":")+1:]+"Result/>")
				r := &audit.Recorder{Now: func() time.Time { return at }}
				err := c.call(audit.With(t.Context(), r), w.factory())
				if (err == nil) != (tt.error == "") {
					t.Fatalf("%s: %v", c.name, err)
				}
				if !mutates(c.name) {
					if len(r.Calls()) != 0 {
						t.Errorf("%s is noted: %v", c.name, r.Calls())
					}
					continue
				}
				if len(r.Calls()) != 1 {
					t.Fatalf("%s: %v", c.name, r.Calls())
				}
				got := r.Calls()[0]
				if got.Error, _ = strings.CutPrefix(got.Error, tt.error); tt.name == "no answer" {
					got.Error = ""
				}
				service, operation, _ := strings.Cut(c.name, ":")
				if diff := cmp.Diff(audit.Call{At: at, Service: service, Operation: operation, RequestID: tt.id}, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", c.name, diff)
				}
			}
		})
	}
}
