package lab

import (
	"io"
	"net/http"
)

// Handler answers AWS calls over HTTP, in every region: any AWS client can be
// pointed at it by AWS_ENDPOINT_URL. The clock must be running.
func (a *Account) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(io.LimitReader(r.Body, 8<<20))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		var answer response
		var missing error
		a.clock.Enter(func() { answer, missing = a.serve(r, body, a.invocationOf(r)) })
		if missing != nil || answer.status == 0 {
			// No answer comes: serve has waited on the lab's clock, or the
			// function that asked was killed.
			panic(http.ErrAbortHandler)
		}
		for name, values := range answer.header {
			w.Header()[name] = values
		}
		w.WriteHeader(answer.status)
		if _, err := w.Write(answer.body); err != nil {
			return // the caller has gone
		}
	})
}

// invocationOf finds the function that makes a call over HTTP, by the trace
// header that Lambda gives it and that the SDK passes on.
func (a *Account) invocationOf(r *http.Request) *invocation {
	return a.functions.traced[r.Header.Get("X-Amzn-Trace-Id")]
}

// Serve keeps an account going on its wall clock until the function given
// returns; the account answers meanwhile.
func (a *Account) Serve(until func()) {
	a.clock.Run(func() { a.clock.Block(until) })
}
