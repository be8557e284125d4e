package dnsrecord

import (
	"strings"
	"testing"

	"dr-orchestrator/internal/action"
)

// Many entries that change one zone in one layer are told to be one.
func TestManyEntriesOfAZoneAreTold(t *testing.T) {
	at := func(layer int, zones ...string) (p action.Request[SwapParameters]) {
		p.Resource.Layer = layer
		for _, zone := range zones {
			p.Parameters.Records = append(p.Parameters.Records, Record{Zone: zone, Name: "www.example.com", Type: "A"})
		}
		return p
	}
	for _, tt := range []struct {
		name string
		reqs []action.Request[SwapParameters]
		told map[int]string // by index
	}{
		{"as many as may be", []action.Request[SwapParameters]{at(1, "Z1"), at(1, "Z1"), at(1, "Z1"), at(1, "Z1"), at(1, "Z1", "Z1")}, nil},
		{"one more", []action.Request[SwapParameters]{at(1, "Z2"), at(1, "Z1"), at(1, "Z1"), at(1, "Z1"), at(1, "Z1"), at(1, "Z1"), at(1, "Z1")}, map[int]string{1: "at least 6 entries of layer 1 change hosted zone Z1"}},
		{"in two layers", []action.Request[SwapParameters]{at(1, "Z1"), at(1, "Z1"), at(1, "Z1"), at(2, "Z1"), at(2, "Z1"), at(2, "Z1")}, nil},
		{"in two zones", []action.Request[SwapParameters]{at(1, "Z1"), at(1, "Z1"), at(1, "Z1"), at(1, "Z2"), at(1, "Z2"), at(1, "Z2")}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for i := range tt.reqs {
				tt.reqs[i].Resource.Index = i
			}
			looks := Swap{Route53: &zones{page: 100}}.Batch(tt.reqs)
			for i, req := range tt.reqs {
				ready, err := looks.Preflight(t.Context(), req)
				if err != nil {
					t.Fatal(err)
				}
				told := ""
				for _, f := range ready.Findings {
					if f.Verdict == action.VerdictWarning && strings.Contains(f.Message, "entries of layer") {
						told += f.Message
					}
				}
				if want := tt.told[i]; (told == "") != (want == "") || !strings.Contains(told, want) {
					t.Errorf("entry %d: %q, want %q", i, told, want)
				}
			}
		})
	}
}
