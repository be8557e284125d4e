package succession

import "testing"

func TestFenced(t *testing.T) {
	for word, want := range map[string]bool{FenceBegun: true, FenceComplete: true, FenceReleased: false, "": false} {
		if got := Fenced(map[string]string{FenceTag: word}); got != want {
			t.Errorf("%q: %t", word, got)
		}
	}
	if Fenced(nil) {
		t.Error("without tags")
	}
}
