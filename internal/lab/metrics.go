package lab

import (
	"maps"
	"strconv"
	"time"
)

var metricsService = map[string]handler{
	"cloudwatch:GetMetricData": getMetricData,
	"cloudwatch:ListMetrics":   listMetrics,
}

// series is one metric of the account that has a datapoint.
type series struct {
	namespace, name string
	dimensions      map[string]string
	value           float64
	age             time.Duration // of its newest datapoint
}

// dimensionsOf reads a list of names and values.
func dimensionsOf(list any) map[string]string {
	out := map[string]string{}
	items, _ := list.([]any)
	for _, d := range items {
		name, _ := tree(d)["Name"].(string)
		out[name], _ = tree(d)["Value"].(string)
	}
	return out
}

func getMetricData(a *Account, c *Call) (any, error) {
	type result struct {
		ID         string      `cbor:"Id" json:"Id"`
		Label      string      `cbor:"Label" json:"Label"`
		Timestamps []time.Time `cbor:"Timestamps" json:"Timestamps"`
		Values     []float64   `cbor:"Values" json:"Values"`
		Status     string      `cbor:"StatusCode" json:"StatusCode"`
	}
	out := struct {
		Results []result `cbor:"MetricDataResults" json:"MetricDataResults"`
	}{[]result{}}
	queries, _ := c.Params.tree["MetricDataQueries"].([]any)
	if len(queries) > 500 {
		return nil, fail(400, "ValidationError", "The collection MetricDataQueries must have a size less than or equal to 500.")
	}
	// Callers may live by another clock than the lab's: how long a time they
	// ask for counts, and not which.
	from, _ := c.Params.tree["StartTime"].(time.Time)
	to, _ := c.Params.tree["EndTime"].(time.Time)
	known := a.series(c.Region)
	for _, q := range queries {
		query := tree(q)
		metric := tree(tree(query["MetricStat"])["Metric"])
		dimensions := dimensionsOf(metric["Dimensions"])
		name, _ := metric["MetricName"].(string)
		namespace, _ := metric["Namespace"].(string)
		id, _ := query["Id"].(string)
		r := result{ID: id, Label: name, Timestamps: []time.Time{}, Values: []float64{}, Status: "Complete"}
		for _, s := range known {
			if s.namespace == namespace && s.name == name && maps.Equal(s.dimensions, dimensions) {
				if at := a.clock.Now().Add(-s.age).Truncate(time.Minute); s.age <= to.Sub(from) {
					r.Timestamps, r.Values = []time.Time{at}, []float64{s.value}
				}
			}
		}
		out.Results = append(out.Results, r)
	}
	return out, nil
}

// listMetrics gives pages of 500, as AWS does.
func listMetrics(a *Account, c *Call) (any, error) {
	type dimension struct {
		Name  string `cbor:"Name" json:"Name"`
		Value string `cbor:"Value" json:"Value"`
	}
	type metric struct {
		Namespace  string      `cbor:"Namespace" json:"Namespace"`
		Name       string      `cbor:"MetricName" json:"MetricName"`
		Dimensions []dimension `cbor:"Dimensions" json:"Dimensions"`
	}
	out := struct {
		Metrics []metric `cbor:"Metrics" json:"Metrics"`
		Next    string   `cbor:"NextToken,omitempty" json:"NextToken,omitempty"`
	}{[]metric{}, ""}
	wanted := dimensionsOf(c.Params.tree["Dimensions"])
	skip := atoi(c.Params.str("NextToken"))
	for _, s := range a.series(c.Region) {
		if c.Params.str("RecentlyActive") == "PT3H" && s.age > 3*time.Hour {
			continue
		}
		if s.namespace != c.Params.str("Namespace") || s.name != c.Params.str("MetricName") || !contains(s.dimensions, wanted) {
			continue
		}
		if skip > 0 {
			skip--
			continue
		}
		if len(out.Metrics) == 500 {
			out.Next = strconv.Itoa(atoi(c.Params.str("NextToken")) + 500)
			break
		}
		m := metric{Namespace: s.namespace, Name: s.name}
		for _, name := range sortedKeys(s.dimensions) {
			m.Dimensions = append(m.Dimensions, dimension{name, s.dimensions[name]})
		}
		out.Metrics = append(out.Metrics, m)
	}
	return out, nil
}

func contains(all, some map[string]string) bool {
	for name, value := range some {
		if all[name] != value {
			return false
		}
	}
	return true
}
