// Command testreport reads the events of "go test -json" from standard input
// and prints a report that ends with "N passed, N failed". It exits with 1 when
// a test failed or when there was none, so that a run of nothing cannot pass.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/sluicehq/sluice/internal/testreport"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(1)
	}
}

func run(stdin io.Reader, stdout io.Writer) error {
	counts, err := testreport.Write(stdout, stdin)
	fmt.Fprintln(stdout, counts)
	switch {
	case err != nil:
		return err
	case counts.Failed > 0:
		return errors.New("tests failed")
	case counts.Passed == 0:
		return errors.New("no test ran")
	}
	return nil
}
