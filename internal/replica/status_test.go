package replica

import (
	"testing"
	"time"

	"dr-orchestrator/internal/action"
	"dr-orchestrator/internal/lag"
)

// Storage is optimized for hours, and the replica works meanwhile: a promotion is
// asked for. What AWS answers decides; a refusal is tried again for a while.
func TestAPromotionDoesNotWaitForTheStorage(t *testing.T) {
	optimizing := instance("storage-optimization", sourceARN, 0)
	taken := newMachine(t, parameters, action.StateReady)
	taken.account.shows(optimizing)
	if answer, class := taken.drive(t); class != "" || answer.Changed != action.ChangeYes || len(taken.account.promote.asks) != 1 {
		t.Errorf("%s: %+v after %d calls", class, answer, len(taken.account.promote.asks))
	}

	refused := newMachine(t, parameters, action.StateReady)
	refused.account.shows(optimizing)
	refused.account.promote.err = coded("InvalidDBInstanceState")
	for range 2 {
		if answer, class := refused.drive(t); class != "" || answer.Status != action.InProgress {
			t.Fatalf("%s: %+v", class, answer)
		}
		refused.now = refused.now.Add(time.Minute)
		refused.account.lags(1, refused.now, time.Minute)
	}
	refused.account.promote.err = nil
	if answer, class := refused.drive(t); class != "" || answer.Changed != action.ChangeYes || len(refused.account.promote.asks) != 3 {
		t.Errorf("%s: %+v after %d calls", class, answer, len(refused.account.promote.asks))
	}
}

// The way back: a new replica in that status protects, and the lag of it is read;
// a source is waited for, of which AWS does not say that it can be replicated.
func TestAReplicaProtectsWhileItsStorageIsOptimized(t *testing.T) {
	replica := theNew
	replica.Status = "storage-optimization"
	if d := decideCreation(sceneOf(&replica), wayBack, nothingAsked); d.Move != action.MoveFinish {
		t.Errorf("%+v", d)
	}
	s := sceneOf(&replica, func(s *scene) { s.reading = lag.Reading{} })
	if d := decideCreation(s, wayBack, nothingAsked); d.Move != action.MoveWait {
		t.Errorf("lag not known: %+v", d)
	}
	s = sceneOf(nil)
	source := *s.source
	source.Status, s.source = "storage-optimization", &source
	if d := decideCreation(s, wayBack, nothingAsked); d.Move != action.MoveWait {
		t.Errorf("source: %+v", d)
	}
}
