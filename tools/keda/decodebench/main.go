// Command decodebench times Go's encoding/json on the answer of Azure DevOps'
// jobrequests, decoded into the very structs that KEDA's azure-pipelines trigger
// uses. It is the other side of the decoding figure that `make bench` prints.
//
// Usage: decodebench FILE ITERATIONS
//
// It prints one line of JSON: the iterations, the median of nanoseconds for one
// decoding of the whole file, and how many job requests were found in it.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
)

// report is the line that the bench reads.
type report struct {
	Iterations int   `json:"iterations"`
	NsPerOp    int64 `json:"nsPerOp"`
	Jobs       int   `json:"jobs"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "decodebench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("want 2 arguments, FILE and ITERATIONS, got %d", len(args))
	}
	body, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	iterations, err := strconv.Atoi(args[1])
	if err != nil || iterations < 1 {
		return fmt.Errorf("ITERATIONS is %q, want a whole number from 1", args[1])
	}
	spent := make([]int64, iterations)
	jobs := 0
	for i := range spent {
		// A fresh value each time, as the trigger does it for each answer.
		var requests scalers.JobRequests
		start := time.Now()
		if err := json.Unmarshal(body, &requests); err != nil {
			return fmt.Errorf("%s: %w", args[0], err)
		}
		spent[i] = time.Since(start).Nanoseconds()
		jobs = len(requests.Value)
	}
	slices.Sort(spent)
	return json.NewEncoder(os.Stdout).Encode(report{iterations, spent[iterations/2], jobs})
}
