package probe

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGate(t *testing.T) {
	days := 30
	for _, tt := range []struct {
		name string
		g    Gate
		want []string // parameters that something is wrong with
	}{
		{"none", Gate{}, nil},
		{"a probe", Gate{Probe: "https://a.example/", ExpectStatus: 204, BodyContains: "x", MinCertificateDays: &days}, nil},
		{"wants without a probe", Gate{BodyContains: "x"}, []string{"Probe"}},
		{"days without a probe", Gate{MinCertificateDays: &days}, []string{"Probe"}},
		{"a body by TCP, named as here and not as in CheckEndpoint", Gate{Probe: "tcp://a.example:1", BodyContains: "x"}, []string{"Probe"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, issue := range tt.g.Issues() {
				got = append(got, issue.Parameter)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	if got := (Gate{Probe: "https://a.example/"}).Wants(); got.ExpectStatus != 200 || got.URL != "https://a.example/" {
		t.Errorf("%+v", got)
	}
}
