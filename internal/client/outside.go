package client

import (
	"context"
	"net"
	"net/http"
	"time"
)

// Outside reaches what is not AWS: the applications that are recovered.
type Outside interface {
	// Do sends one HTTP request over a connection of its own, to an address
	// looked up anew, and follows no redirect.
	Do(*http.Request) (*http.Response, error)
	// Dial opens a TCP connection to HOST:PORT and closes it again.
	Dial(ctx context.Context, address string) error
}

// Outside gives the way out. The lab's HTTP client brings its own.
func (f *Factory) Outside() Outside {
	if c, ok := f.base.HTTPClient.(interface{ Outside() Outside }); ok {
		return c.Outside()
	}
	return internet{&http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialer.DialContext, DisableKeepAlives: true, TLSHandshakeTimeout: DialTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

var dialer = &net.Dialer{Timeout: DialTimeout, KeepAlive: -1 * time.Second}

type internet struct{ *http.Client }

// Dial opens a TCP connection and closes it again.
func (internet) Dial(ctx context.Context, address string) error {
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return c.Close()
}
