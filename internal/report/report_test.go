package report

import (
	"strings"
	"testing"
	"unicode/utf8"

	"dr-orchestrator/internal/action"
)

// Every outcome says whether something was changed, and no two say the same.
func TestMeaning(t *testing.T) {
	seen := map[string]Outcome{}
	for outcome, want := range map[Outcome]string{
		Succeeded: "goal", Refused: "nothing was changed", FailedClean: "nothing was changed", FailedDirty: "something was changed",
	} {
		got := outcome.Meaning()
		if !strings.Contains(got, want) {
			t.Errorf("%s: %q does not say %q", outcome, got, want)
		}
		if other, ok := seen[got]; ok {
			t.Errorf("%s and %s mean the same", outcome, other)
		}
		seen[got] = outcome
	}
	// An outcome that nobody knows is taken for the worst.
	for _, odd := range []Outcome{"", "Unknown"} {
		if odd.Meaning() != FailedDirty.Meaning() {
			t.Errorf("%q: %q", odd, odd.Meaning())
		}
	}
}

func TestText(t *testing.T) {
	record := Record{
		Outcome: FailedDirty, Cause: "layer 1 failed", DurationSeconds: 61.4,
		Layers: []Layer{
			{Layer: 1, Resources: []Resource{
				{ResourceName: "orders", Status: Done, Changed: true},
				{ResourceName: "billing", Status: Failed, Error: &Error{Class: "Terminal", Message: "storage-full"}},
			}},
			{Layer: 2, Resources: []Resource{{ResourceName: "cache", Status: Skipped}}},
		},
	}
	lines := strings.Split(strings.TrimSpace(record.Text()), "\n")
	if len(lines) != 10 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, want := range [][]string{
		{"FailedDirty", "61 s", FailedDirty.Meaning()}, {"The estate: 1 of 3"}, {"What to do next:"}, {"1. Remove the cause"}, {"2. Start the same payload again"}, {"3. Until then"}, {"layer 1 failed"},
		{"orders", "DONE", "changed"}, {"billing", "FAILED", "Terminal", "storage-full"}, {"cache", "SKIPPED"},
	} {
		for _, part := range want {
			if !strings.Contains(lines[i], part) {
				t.Errorf("line %d, %q, does not say %q", i, lines[i], part)
			}
		}
	}
	if strings.Contains(lines[8], "changed") || strings.Contains(lines[9], "changed") {
		t.Error("something is said to be changed that was not")
	}
}

// Of every end the text says first how the estate stands and what to do, however
// long the cause is and however many resources there are.
func TestTextBeginsWithWhatToDo(t *testing.T) {
	for _, tt := range []struct {
		outcome      Outcome
		cause        string
		status       Status
		changed      bool
		estate, todo string
	}{
		{Succeeded, "", Done, true, "The one resource is at the goal in us-west-2", "Direct the applications to us-west-2"},
		{Refused, "the lag is 90 s", RefusedHere, false, "As it was before the run", "Read what was refused and why"},
		{FailedClean, "denied", Failed, false, "As it was before the run", "Remove the cause"},
		{FailedDirty, "storage-full", Failed, true, "0 of 1 resources at the goal. 1 changed", "Look at what is changed and not at its goal"},
		{FailedClean, EndedOutside + " (ABORTED): enough", Skipped, false, "As it was before the run", "Start the same payload again"},
		{FailedDirty, EndedOutside + " (ABORTED): enough", Failed, true, "0 of 1 resources at the goal. 1 changed", "Look at what is changed and not at its goal"},
	} {
		record := Record{Outcome: tt.outcome, Cause: tt.cause, Layers: []Layer{{Layer: 1, Resources: []Resource{{ResourceName: "orders", Purpose: action.TakesOver, Status: tt.status, Changed: tt.changed}}}}}
		record.Run.Region, record.Run.Execution = "us-west-2", "arn:run-1"
		text := record.Text()
		lines := strings.Split(text, "\n")
		if !strings.HasPrefix(lines[1], "The estate: "+tt.estate) || lines[2] != "What to do next:" || !strings.HasPrefix(lines[3], "  1. "+tt.todo) {
			t.Errorf("%s, %s:\n%s", tt.outcome, tt.cause, text)
		}
		if tt.cause != "" && strings.Index(text, "\n"+tt.cause+"\n") < strings.Index(text, lines[3]) {
			t.Errorf("%s: the cause stands before what to do, or nowhere:\n%s", tt.outcome, text)
		}
		if !strings.HasSuffix(text, "orders: "+string(tt.status)+map[bool]string{true: " (changed)"}[tt.changed]+"\n") {
			t.Errorf("%s: the resource is not told last:\n%s", tt.outcome, text)
		}
	}
}

// SNS takes 256 KiB, and a person less: a message tells of the first resources,
// each in a few words, and that there are more.
func TestTextIsBounded(t *testing.T) {
	of := func(count int) Record {
		record := Record{Outcome: FailedDirty}
		for i := range count {
			if i%50 == 0 {
				record.Layers = append(record.Layers, Layer{Layer: i/50 + 1})
			}
			layer := &record.Layers[len(record.Layers)-1]
			layer.Resources = append(layer.Resources, Resource{ResourceName: "db", Status: Failed, Error: &Error{Class: "Terminal", Message: strings.Repeat("ü", 10000)}})
		}
		return record
	}
	for count, more := range map[int]bool{1: false, mostTold - 1: false, mostTold: true, mostTold + 1: true, 10000: true} {
		text := of(count).Text()
		if len(text) > 256<<10 {
			t.Errorf("%d resources: %d bytes", count, len(text))
		}
		if told := strings.Count(text, "FAILED"); told != min(count, mostTold-1) {
			t.Errorf("%d resources: %d are told", count, told)
		}
		if strings.Contains(text, "and more") != more || !utf8.ValidString(text) {
			t.Errorf("%d resources: the end is %q", count, text[len(text)-80:])
		}
	}
}

// What may be lost is told of everything that was changed, and that nobody knows
// it, too.
func TestTextTellsTheLag(t *testing.T) {
	lag := func(v float64) *float64 { return &v }
	for _, tt := range []struct {
		name string
		x    Resource
		want string // empty: nothing about lag
	}{
		{"known", Resource{Status: Done, RPO: &RPO{Seconds: lag(2.5)}}, "(RPO) 2.5 s"},
		{"nothing behind", Resource{Status: Done, RPO: &RPO{Seconds: lag(0)}}, "(RPO) 0 s"},
		{"unknown", Resource{Status: Done, RPO: &RPO{Unknown: "ReplicaLag is -1"}}, "the replication lag is unknown: ReplicaLag is -1: how much was lost (RPO) is not known"},
		{"unknown, failed", Resource{Status: Failed, RPO: &RPO{Unknown: "x"}, LagSeconds: lag(3)}, "(RPO) is not known"},
		{"nothing was changed", Resource{Status: RefusedHere, LagSeconds: lag(3)}, ""},
		{"never driven", Resource{Status: Skipped, LagSeconds: lag(2)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := Record{Layers: []Layer{{Resources: []Resource{tt.x}}}}.Text()
			if !strings.Contains(text, tt.want) || strings.Contains(text, "RPO") != (tt.want != "") {
				t.Errorf("%q, want %q", text, tt.want)
			}
		})
	}
}
