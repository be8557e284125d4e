package guard

import (
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

func TestNetwork(t *testing.T) {
	var status atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if status.Load() == 0 {
			panic(http.ErrAbortHandler)
		}
		w.WriteHeader(int(status.Load()))
	}))
	defer server.Close()
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := listener.Addr().String()
	listener.Close()
	tcp := strings.Replace(server.URL, "http", "tcp", 1)
	for _, tt := range []struct {
		name, at         string
		status           int64
		answered, silent bool
	}{
		{"it serves", server.URL, 200, true, false},
		{"it sends elsewhere", server.URL, 302, true, false},
		{"it refuses", server.URL, 403, true, false},
		{"it fails", server.URL, 500, false, true},
		{"it is overloaded", server.URL, 503, false, true},
		{"it hangs up", server.URL, 0, false, true},
		{"nobody is there", "http://" + gone, 200, false, true},
		{"it takes connections", tcp, 200, true, false},
		{"it takes no connections", "tcp://" + gone, 200, false, true},
		{"a name that nobody knows", "http://nobody.invalid", 200, false, false},
		{"a certificate of nobody", secure.URL, 200, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			status.Store(tt.status)
			got := Network{}.Probe(t.Context(), tt.at)
			if got.Answered != tt.answered || got.Silent != tt.silent || !strings.HasPrefix(got.Told, tt.at) {
				t.Errorf("%+v", got)
			}
		})
	}
}
