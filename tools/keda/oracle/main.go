// Command oracle answers as KEDA's own azure-pipelines trigger does, by the code
// of KEDA's scaler package. It is the other side of the test that holds this
// project's answers against KEDA's.
//
// Usage: oracle <QUESTIONS >ANSWERS
//
// Both are lines of JSON, one answer for each question, in their order. The end
// of the questions ends it.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/kedacore/keda/v2/pkg/scalers"
	"github.com/kedacore/keda/v2/pkg/scalers/scalersconfig"
)

// patience is for one HTTP request. KEDA gives 3 s; what is asked here is what
// it counts and not how long it waits.
const patience = 30 * time.Second

// question is one trigger, with what KEDA would have resolved for it.
type question struct {
	Metadata map[string]string `json:"metadata"`
	// Env has the values of the variables that the keys ending in FromEnv name.
	Env map[string]string `json:"env"`
	// Auth is what a TriggerAuthentication would give.
	Auth map[string]string `json:"auth"`
}

// answer is what KEDA makes of it: the three numbers, or the reason for none.
type answer struct {
	Value  int64  `json:"value"`
	Active bool   `json:"active"`
	Target int64  `json:"target"`
	Error  string `json:"error,omitempty"`
}

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func run(from io.Reader, to io.Writer) error {
	questions := json.NewDecoder(bufio.NewReader(from))
	answers := json.NewEncoder(to)
	for {
		var asked question
		if err := questions.Decode(&asked); err == io.EOF {
			return nil
		} else if err != nil {
			return fmt.Errorf("a question cannot be read: %w", err)
		}
		told, err := ask(context.Background(), asked)
		if err != nil {
			told = answer{Error: err.Error()}
		}
		if err := answers.Encode(told); err != nil {
			return err
		}
	}
}

// ask does what KEDA's operator does at one polling of a new trigger.
func ask(ctx context.Context, asked question) (answer, error) {
	scaler, err := scalers.NewAzurePipelinesScaler(ctx, &scalersconfig.ScalerConfig{
		ScalableObjectName:      "oracle",
		ScalableObjectNamespace: "oracle",
		ScalableObjectType:      "ScaledObject",
		GlobalHTTPTimeout:       patience,
		TriggerType:             "azure-pipelines",
		TriggerMetadata:         asked.Metadata,
		ResolvedEnv:             asked.Env,
		AuthParams:              asked.Auth,
	})
	if err != nil {
		return answer{}, err
	}
	defer scaler.Close(ctx)
	specs := scaler.GetMetricSpecForScaling(ctx)
	if len(specs) != 1 || specs[0].External == nil || specs[0].External.Target.AverageValue == nil {
		return answer{}, fmt.Errorf("want one external metric with an average value, got %v", specs)
	}
	metrics, active, err := scaler.GetMetricsAndActivity(ctx, specs[0].External.Metric.Name)
	if err != nil {
		return answer{}, err
	}
	if len(metrics) != 1 {
		return answer{}, fmt.Errorf("want one metric, got %d", len(metrics))
	}
	return answer{
		Value:  metrics[0].Value.Value(),
		Active: active,
		Target: specs[0].External.Target.AverageValue.Value(),
	}, nil
}
