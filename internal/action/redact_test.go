package action

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// A secret shows nowhere in the evidence, however deep it lies.
func TestSecretsNestedInEvidence(t *testing.T) {
	event := reconcileEvent(Drive{StartedAt: noon, Changed: ChangeNo}, StateReady)
	event.Resource.Parameters = json.RawMessage(`{"Name":"orders","Password":"` + reference + `"}`)
	for name, value := range map[string]any{"list": []string{secret}, "object": map[string]string{"dsn": secret}, "pointer": new(secret)} {
		a := adapter(&stub{progress: Progress{Status: InProgress, Evidence: Evidence{"x": value}}})
		a.Secrets = vault{}
		if _, class, text := invoke[Answer](t, a, event); class != "" || strings.Contains(text, secret) {
			t.Errorf("%s: %s", name, text)
		}
	}
}

// A call of ours was accepted, a second one lost its answer: the next look is
// told so, and has to hand the time on, or the look after it is sure at once.
func TestInterruptedAfterYes(t *testing.T) {
	for name, p := range map[string]Progress{"waits": {Observed: StateReady}, "turned away": {Observed: StateReady, Contended: true}} {
		p.Status = InProgress
		got, _, text := invoke[Answer](t, adapter(&stub{progress: p}), reconcileEvent(Drive{StartedAt: noon, Changed: ChangeYes, InterruptedAt: ago(time.Second)}, StateReady))
		if got.InterruptedAt == nil {
			t.Errorf("%s: interruptedAt is lost 1 s after the silence: %s", name, text)
		}
	}
}
