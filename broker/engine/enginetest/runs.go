package enginetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/sluicehq/sluice/broker/engine"
	"github.com/sluicehq/sluice/schemas"
)

// Runs tests run messages. Of several final statuses at once, one ends the run.
func Runs(t *testing.T, stores ...Store) {
	t.Helper()
	ends := []schemas.RunStatus{schemas.RunCompleted, schemas.RunFailed, schemas.RunCancelled}
	for round := range 10 {
		name := schemas.Channel(fmt.Sprint("run:", round))
		put(t, stores[0], status(name, schemas.RunRunning))
		var all sync.WaitGroup
		var receipts [6]schemas.Receipt
		var errs [len(receipts)]error
		for i := range receipts {
			all.Go(func() { receipts[i], errs[i] = stores[i%len(stores)].Append(t.Context(), status(name, ends[i/2])) })
		}
		all.Wait()
		var won schemas.RunStatus
		for i, r := range receipts {
			if errs[i] == nil && !r.Duplicate {
				if won != "" {
					t.Fatalf("%s and %s ended the run", won, ends[i/2])
				}
				won = ends[i/2]
			}
		}
		for i, err := range errs {
			if (err == nil) != (ends[i/2] == won) || err != nil && !errors.Is(err, engine.ErrRunFinished) {
				t.Errorf("%s ended the run, and %s got %v", won, ends[i/2], err)
			}
		}
		for _, s := range stores {
			snapshot, err := s.Load(t.Context(), name)
			if err != nil || len(snapshot.Messages) != 2 || snapshot.Run == nil {
				t.Fatalf("kept %+v, %v", snapshot, err)
			}
			if latest, err := schemas.ParseRunChange(snapshot.Run); err != nil || latest.Status != won || latest.RunID != "r" {
				t.Errorf("the run is %+v, %v, want %s", latest, err, won)
			}
		}
	}
}

// status returns the entry of a run message.
func status(name schemas.Channel, s schemas.RunStatus) engine.Entry {
	change := &schemas.RunChange{Status: s, RunID: "r"}
	e := entry(name, "", "")
	e.Topic, e.Kind, e.Data, e.RunID, e.Run = schemas.TopicRun, schemas.KindRun, change.Encode(), change.RunID, change
	return e
}
