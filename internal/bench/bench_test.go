// Package bench_test measures what a deployed function costs: the time from
// the start of its process until it is ready for its first event, its resident
// memory then, and its size. The numbers are printed beside their goals and
// are not asserted, because they depend on the machine:
//
//	go test -run '^$' -bench . -benchtime 1x ./internal/bench
package bench_test

import (
	"archive/zip"
	"compress/flate"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dr-orchestrator/internal/bootstrap"
	"dr-orchestrator/internal/lab"
	"dr-orchestrator/internal/lambdaruntime"
)

// starts is how often a function is started; the median counts.
const starts = 9

const megabyte = 1e6

func BenchmarkFunction(b *testing.B) {
	here, deployed := b.TempDir(), b.TempDir()
	if err := bootstrap.Build(b.Context(), here, runtime.GOOS, runtime.GOARCH); err != nil {
		b.Fatal(err)
	}
	if err := bootstrap.Build(b.Context(), deployed, "linux", "arm64"); err != nil {
		b.Fatal(err)
	}
	for _, name := range lab.FunctionNames() {
		b.Run(name, func(b *testing.B) {
			var times, resident []float64
			for b.Loop() {
				for range starts {
					took, rss := start(b, name, bootstrap.Path(here, name))
					times = append(times, float64(took)/float64(time.Millisecond))
					resident = append(resident, rss/megabyte)
				}
			}
			size, zipped := sizes(b, bootstrap.Path(deployed, name))
			b.ReportMetric(0, "ns/op") // of a loop that nobody asks for
			b.ReportMetric(median(times), "start-ms(goal:50)")
			b.ReportMetric(median(resident), "memory-MB(goal:25)")
			b.ReportMetric(size/megabyte, "bootstrap-MB")
			b.ReportMetric(zipped/megabyte, "zip-MB(goal:6)")
		})
	}
}

// start starts a function, and gives the time until it was ready and its
// resident memory in bytes then.
func start(b *testing.B, name, path string) (time.Duration, float64) {
	b.Helper()
	p, err := lambdaruntime.Start(b.Context(), lambdaruntime.Function{Name: lab.FunctionPrefix + name, Path: path, Region: "us-west-2"})
	if err != nil {
		b.Fatal(err)
	}
	defer p.Close()
	return p.Init(), memory(p.PID())
}

// memory reads the resident memory of a process; 0 where there is no /proc.
func memory(pid int) float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kibibytes float64
	if _, err := fmt.Sscanf(rest, "%f kB", &kibibytes); err != nil {
		return 0
	}
	return kibibytes * 1024
}

// sizes gives the bytes of a file, and of a zip that holds it as Lambda wants
// it: executable, and without the time of the build, so that the same binary
// makes the same zip.
func sizes(b *testing.B, path string) (size, zipped float64) {
	b.Helper()
	binary, err := os.Open(path)
	if err != nil {
		b.Fatal(err)
	}
	defer binary.Close()
	var out counter
	w := zip.NewWriter(&out)
	w.RegisterCompressor(zip.Deflate, func(to io.Writer) (io.WriteCloser, error) { return flate.NewWriter(to, flate.BestCompression) })
	header := &zip.FileHeader{Name: "bootstrap", Method: zip.Deflate}
	header.SetMode(0o755)
	file, err := w.CreateHeader(header)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.Copy(file, binary)
	if err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return float64(n), float64(out)
}

// counter counts what is written to it.
type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}
