// Package emf writes metrics in CloudWatch's embedded metric format: a line of
// the log that CloudWatch Logs makes metrics of, without a call to be made or
// to fail.
//
// Source: "Specification: Embedded metric format" in the Amazon CloudWatch User
// Guide.
package emf

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Unit is a unit of CloudWatch.
type Unit string

// The units in use.
const (
	Seconds Unit = "Seconds"
	Count   Unit = "Count"
	None    Unit = "None"
)

// Metric is one value.
type Metric struct {
	Name  string
	Unit  Unit
	Value float64
}

// Line is one line: metrics at a time, each under every set of dimensions.
type Line struct {
	Namespace string
	Time      time.Time
	Sets      [][]string        // of names of dimensions
	Values    map[string]string // of dimensions, and further texts that Logs Insights can search
	Metrics   []Metric
}

// The limits of the format.
const (
	mostMetrics    = 100
	mostDimensions = 30
	longestName    = 250
	longestValue   = 1024
	longestMetric  = 1024
)

// Encode gives the line as JSON. A value of a dimension is cut and cleaned to
// what CloudWatch takes; anything else that it would not take is an error.
func (l Line) Encode() ([]byte, error) {
	if l.Namespace == "" || len(l.Namespace) > 1024 || len(l.Metrics) == 0 || len(l.Metrics) > mostMetrics {
		return nil, fmt.Errorf("metrics: namespace %q with %d metrics", l.Namespace, len(l.Metrics))
	}
	members := map[string]any{}
	for name, text := range l.Values {
		members[name] = text
	}
	for _, set := range l.Sets {
		if len(set) > mostDimensions {
			return nil, fmt.Errorf("metrics: %d dimensions", len(set))
		}
		for _, name := range set {
			text, ok := l.Values[name]
			if !ok || name == "" || len(name) > longestName {
				return nil, fmt.Errorf("metrics: the dimension %q has no value", name)
			}
			members[name] = clean(text)
		}
	}
	definitions := []map[string]string{}
	for _, m := range l.Metrics {
		if _, taken := members[m.Name]; taken || m.Name == "" || len(m.Name) > longestMetric {
			return nil, fmt.Errorf("metrics: the name %q is taken, empty or too long", m.Name)
		}
		members[m.Name] = m.Value
		definitions = append(definitions, map[string]string{"Name": m.Name, "Unit": string(m.Unit)})
	}
	sets := l.Sets
	if len(sets) == 0 {
		sets = [][]string{{}}
	}
	if _, taken := members["_aws"]; taken {
		return nil, fmt.Errorf("metrics: the name _aws is taken")
	}
	members["_aws"] = map[string]any{
		"Timestamp":         l.Time.UnixMilli(),
		"CloudWatchMetrics": []any{map[string]any{"Namespace": l.Namespace, "Dimensions": sets, "Metrics": definitions}},
	}
	return json.Marshal(members)
}

// clean makes a text a value of a dimension: not empty, ASCII, without control
// characters and not beginning with a colon.
func clean(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, strings.TrimLeft(strings.TrimSpace(text), ":"))
	if text == "" {
		return "-"
	}
	return text[:min(len(text), longestValue)]
}

// Write writes lines. Without a writer it writes nothing.
func Write(w io.Writer, lines ...Line) error {
	if w == nil {
		return nil
	}
	for _, l := range lines {
		text, err := l.Encode()
		if err != nil {
			return err
		}
		if _, err := w.Write(append(text, '\n')); err != nil {
			return fmt.Errorf("writing metrics: %w", err)
		}
	}
	return nil
}
