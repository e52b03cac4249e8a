// Carrier is a simulated telephone company on loopback: a SIP trunk whose numbers behave by a scenario, the people behind them, and
// an independent witness of every call. See ../README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/emiago/sipgo/sip"
)

// closingTime is how long the phones get to hang up when the carrier is stopped.
const closingTime = 4 * time.Second

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "carrier:", err)
		os.Exit(1)
	}
}

func run() error {
	sipAddress := flag.String("sip", "127.0.0.1:5090", "address for SIP over UDP")
	gateway := flag.String("gateway", "127.0.0.1:5060", "SIP address of the gateway that takes calls to DIDs")
	httpAddress := flag.String("http", "127.0.0.1:8090", "address of the HTTP interface")
	scenarioPath := flag.String("scenario", "", "JSON file: how the numbers behave (without it all answer and stay silent)")
	folder := flag.String("dir", ".", "folder for invites.jsonl and recordings")
	verbose := flag.Bool("verbose", false, "log what the SIP library does")
	flag.Parse()

	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	logger := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	slog.SetDefault(logger)
	sip.SetDefaultLogger(logger)

	book, cps, err := openPhonebook(*scenarioPath, *folder)
	if err != nil {
		return err
	}
	ledger, err := openLedger(*folder)
	if err != nil {
		return err
	}
	trunk, err := openTrunk(*sipAddress, *gateway, book, ledger, &RateLimit{cps: cps})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *httpAddress)
	if err != nil {
		return err
	}
	stopped, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	failed := make(chan error, 2)
	go func() { failed <- trunk.Serve() }()
	web := &http.Server{Handler: routes(trunk), ReadHeaderTimeout: 5 * time.Second}
	go func() { failed <- web.Serve(listener) }()
	slog.Info("carrier ready", "sip", *sipAddress, "http", listener.Addr().String(), "folder", *folder)
	select {
	case <-stopped.Done():
	case err := <-failed:
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), closingTime)
	defer cancel()
	return errors.Join(trunk.Close(ctx), web.Close())
}
