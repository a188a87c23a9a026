package netpoll_test

import (
	"os"
	"runtime"
	"testing"

	"github.com/sluicehq/sluice/broker/internal/netpoll"
)

// TestYielder_Yield: who waits for a descriptor has its turn even if somebody else is
// always ready to run on the only processor.
func TestYielder_Yield(t *testing.T) {
	y, err := netpoll.NewYielder()
	if err != nil {
		t.Fatal(err)
	}
	if y == nil {
		t.Skip("not on this system")
	}
	defer y.Close()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	const rounds = 100
	turns := make(chan int, rounds)
	go func() { // ends with the pipe
		for i, b := 0, make([]byte, 1); ; i++ {
			if _, err := read.Read(b); err != nil {
				return
			}
			turns <- i
		}
	}()
	yields := 0
	for range rounds {
		if _, err := write.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		for came := false; !came; yields++ {
			y.Yield()
			select {
			case <-turns:
				came = true
			default:
			}
		}
	}
	if yields > 100*rounds {
		t.Errorf("it took %d yields", yields)
	}
}

// TestYielder_none: without a descriptor, others that are ready have their turn.
func TestYielder_none(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var y *netpoll.Yielder
	ran := make(chan struct{})
	go close(ran)
	for came := false; !came; {
		y.Yield()
		select {
		case <-ran:
			came = true
		default:
		}
	}
	y.Close()
}
