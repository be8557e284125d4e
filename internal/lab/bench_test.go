package lab

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkAdded prints what the orchestrator adds to AWS's own time, and how
// many describes it takes, over operation times from 30 s to 30 min in steps
// of 37 s. Goals: at most 5 s a resource and 3 s in the mean, at most 10 s for
// the run, at most 400 describes for one resource.
func BenchmarkAdded(b *testing.B) {
	for _, name := range operations(b) {
		b.Run(strings.TrimSuffix(name, ".json"), func(b *testing.B) {
			worst, sum, n, run, describes := 0.0, 0.0, 0.0, 0.0, 0
			for b.Loop() {
				for seconds := 30.0; seconds <= 1800; seconds += 37 {
					result := runLab(b, Options{Payload: sample(b, name), Estate: slowed(seconds)})
					longest, looked, resources := 0.0, 0, 0
					for _, layer := range result.Layers {
						slowest := 0.0
						for _, r := range layer.Resources {
							added := r.DurationSeconds - r.AWSSeconds
							worst, sum, n = max(worst, added), sum+added, n+1
							slowest = max(slowest, r.AWSSeconds)
						}
						longest, resources = longest+slowest, resources+len(layer.Resources)
					}
					for call, count := range result.APICalls {
						if strings.Contains(call, ":Describe") {
							looked += count
						}
					}
					run = max(run, result.DurationSeconds-longest)
					describes = max(describes, looked/resources)
				}
			}
			b.ReportMetric(worst, "worst-added-s")
			b.ReportMetric(sum/n, "mean-added-s")
			b.ReportMetric(run, "run-added-s")
			b.ReportMetric(float64(describes), "describes/resource")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkOutage prints how long somebody is without the application who looks
// its name up and writes once a second, by the way that its traffic moves. The
// operations take as long as the lab has AWS take.
func BenchmarkOutage(b *testing.B) {
	for _, way := range []struct{ name, sample, caller string }{
		{"records", "failover-dns.json", "www.shop.example"},
		{"routing-control", "failover-traffic.json", "routed.shop.example"},
		{"switch", "failover-switch.json", "switched.shop.example"},
	} {
		b.Run(way.name, func(b *testing.B) {
			payload := sample(b, way.sample)
			if way.name != "records" {
				payload = withTrafficBy(b, way.sample)
			}
			for b.Loop() {
				outage := 0.0
				for _, o := range runLab(b, Options{Payload: payload, Caller: way.caller}).Caller.Outages {
					outage += o.Seconds
				}
				b.ReportMetric(outage, "outage-s")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkLargeLayer prints what a layer of many resources takes beyond its
// slowest, and the real time that the lab needs for it.
func BenchmarkLargeLayer(b *testing.B) {
	for _, n := range []int{10, 100, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				estate := DefaultEstate()
				estate.Instances = nil
				result := runLab(b, Options{Payload: replicas(estate, n), Estate: estate})
				b.ReportMetric(result.DurationSeconds-estate.Durations["PromoteReadReplica"], "run-added-s")
				b.ReportMetric(float64(busiestSecond(result.Log)), "most-describes/s")
			}
		})
	}
}
