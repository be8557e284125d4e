package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"dr-orchestrator/internal/lab"
)

type labServeCommand struct {
	Addr    string  `default:"127.0.0.1:4599" help:"Address to listen on."`
	DNSAddr string  `default:"127.0.0.1:0" help:"UDP address on which the name servers of all zones answer (port 0: any that is free); empty: none."`
	Estate  string  `help:"Estate file; by default the built-in one (drctl lab estate)."`
	Speed   float64 `default:"1" help:"How much faster than real time the lab's clock runs."`
	Seed    uint64  `default:"1" help:"Where identifiers and jitter come from."`
	Faults  string  `help:"What breaks: kind@target[#n[-m]], joined by commas."`
}

// Help shows examples.
func (c *labServeCommand) Help() string {
	return `Examples:
  drctl lab serve --speed 60
and in another terminal:
  export AWS_ENDPOINT_URL=http://127.0.0.1:4599 AWS_ACCESS_KEY_ID=lab AWS_SECRET_ACCESS_KEY=lab
  aws rds describe-global-clusters --region us-west-2
  dig @127.0.0.1 -p 4553 db.shop.example   # with --dns-addr 127.0.0.1:4553
  aws stepfunctions start-execution --region us-west-2 \
      --state-machine-arn arn:aws:states:us-west-2:111122223333:stateMachine:dr-orchestrator-failover \
      --input file://payloads/failover-three-databases.json
Version 1 of the AWS CLI ignores AWS_ENDPOINT_URL for rds in us-east-1: give it
--endpoint-url there.`
}

func (c *labServeCommand) Run(s streams) error {
	estate := lab.DefaultEstate()
	if c.Estate != "" {
		var err error
		if estate, err = lab.LoadEstate(c.Estate); err != nil {
			return wrongInput("%w", err)
		}
	}
	faults, err := lab.ParseFaults(c.Faults)
	if err != nil {
		return wrongInput("%w", err)
	}
	if c.Speed <= 0 {
		return wrongInput("--speed must be above 0")
	}
	listener, err := net.Listen("tcp", c.Addr)
	if err != nil {
		return environment("%w", err)
	}
	var names net.PacketConn
	var streams net.Listener
	if c.DNSAddr != "" {
		if names, err = net.ListenPacket("udp", c.DNSAddr); err != nil {
			return environment("%w", errors.Join(err, listener.Close()))
		}
		if streams, err = net.Listen("tcp", names.LocalAddr().String()); err != nil {
			return environment("%w", errors.Join(err, names.Close(), listener.Close()))
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	account := lab.NewAccount(estate, lab.NewWallClock(time.Now(), c.Speed), c.Seed, faults)
	server := &http.Server{Handler: account.Handler(), ReadHeaderTimeout: 10 * time.Second}
	fmt.Fprintf(s.err, "The lab listens on http://%s: account %s, regions %v, %gx real time. End it with Ctrl-C.\n", listener.Addr(), estate.Account, estate.Regions, c.Speed)
	if names != nil {
		fmt.Fprintf(s.err, "Its name servers answer at %s.\n", names.LocalAddr())
	}
	account.Serve(func() {
		if names != nil {
			go func() {
				if err := account.ServeDNS(names); err != nil {
					fmt.Fprintln(s.err, "drctl:", err)
				}
			}()
			go func() {
				if err := account.ServeDNSStreams(streams); err != nil {
					fmt.Fprintln(s.err, "drctl:", err)
				}
			}()
		}
		go func() {
			<-ctx.Done()
			if names != nil {
				if err := errors.Join(names.Close(), streams.Close()); err != nil {
					fmt.Fprintln(s.err, "drctl:", err)
				}
			}
			if err := server.Close(); err != nil {
				fmt.Fprintln(s.err, "drctl:", err)
			}
		}()
		err = server.Serve(listener)
	})
	if !errors.Is(err, http.ErrServerClosed) {
		return environment("%w", err)
	}
	return nil
}

type labEstateCommand struct{}

// Help shows an example.
func (c *labEstateCommand) Help() string {
	return `Example:
  drctl lab estate > estate.json`
}

func (c *labEstateCommand) Run(s streams) error {
	data, err := lab.DefaultEstate().JSON()
	if err != nil {
		return err
	}
	_, err = s.out.Write(data)
	return err
}
