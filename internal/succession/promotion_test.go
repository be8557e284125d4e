package succession

import (
	"testing"
	"time"
)

func TestPromotedFrom(t *testing.T) {
	const source = "arn:aws:rds:us-east-1:111122223333:db:orders"
	created := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	note := func(arn string, after time.Duration) map[string]string {
		return map[string]string{PromotedTag: PromotedNote(arn, created.Add(after))}
	}
	for _, tt := range []struct {
		name    string
		tags    map[string]string
		created time.Time
		want    bool
	}{
		{"promoted from it", note(source, time.Second), created, true},
		{"in other letters", note("ARN:AWS:RDS:us-east-1:111122223333:DB:orders", time.Second), created, true},
		{"no tags", nil, created, false},
		{"as old", note(source, 0), created, false},
		{"from one that had the name before", note(source, -time.Second), created, false},
		{"from another", note(source+"2", time.Second), created, false},
		{"nobody knows when it was created", note(source, time.Second), time.Time{}, false},
		{"no time", map[string]string{PromotedTag: source}, created, false},
		{"something else in it", map[string]string{PromotedTag: source + " yesterday"}, created, false},
	} {
		if got := PromotedFrom(tt.tags, source, tt.created); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
	if PromotedFrom(map[string]string{PromotedTag: PromotedNote("", created.Add(time.Hour))}, "", created) {
		t.Error("promoted from nothing")
	}
	if len(PromotedNote(source, created)) > 256 {
		t.Error("RDS takes no tag that long")
	}
}

func TestPromotedAt(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Time{PromotedNote("arn", at): at, "arn": {}, "arn yesterday": {}, "": {}} {
		if got := PromotedAt(map[string]string{PromotedTag: value}); !got.Equal(want) {
			t.Errorf("%q: %s", value, got)
		}
	}
}

func TestAges(t *testing.T) {
	for engine, want := range map[string]bool{"mysql": true, "postgres": true, "mariadb": true, "oracle-ee": false, "oracle-se2-cdb": false, "": false} {
		if Ages(engine) != want {
			t.Errorf("%q: %t", engine, !want)
		}
	}
}
