// Command gateway connects telephones (SIP and RTP) with LiveKit rooms. In the lab it stands where LiveKit's own SIP
// service stands in production, and behaves like it through LiveKit's API and on the wire.
//
// main.go answers: what does the process need to run, and how does it start and stop?
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/livekit/protocol/logger"
	lkredis "github.com/livekit/protocol/redis"
	"github.com/livekit/psrpc/pkg/bus/redisbus"
	lksdk "github.com/livekit/server-sdk-go/v2"
)

const stopTimeout = 4500 * time.Millisecond

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "gateway:", err)
		os.Exit(1)
	}
}

func run() error {
	redisAddr := flag.String("redis", "127.0.0.1:6379", "address of Redis")
	liveKitURL := flag.String("livekit-url", "ws://127.0.0.1:7880", "URL of livekit-server")
	sipAddr := flag.String("sip", "127.0.0.1:5060", "address for SIP; its IP is used for RTP as well")
	httpAddr := flag.String("http", "127.0.0.1:8080", "address for /healthz and /stats")
	maxCalls := flag.Int64("max-calls", 0, "calls at a time, above which a call is refused (0: no limit)")
	verbose := flag.Bool("verbose", false, "log details")
	flag.Parse()

	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	lksdk.SetLogger(logger.GetDiscardLogger())
	logger.SetLogger(logger.GetDiscardLogger(), "gateway")

	s := settings{liveKitURL: *liveKitURL, apiKey: os.Getenv("LIVEKIT_API_KEY"), apiSecret: os.Getenv("LIVEKIT_API_SECRET")}
	if s.apiKey == "" || s.apiSecret == "" {
		return errors.New("LIVEKIT_API_KEY and LIVEKIT_API_SECRET must be set")
	}
	addr, err := netip.ParseAddrPort(*sipAddr)
	if err != nil {
		return fmt.Errorf("--sip: %w", err)
	}
	redis, err := lkredis.GetRedisClient(&lkredis.RedisConfig{Address: *redisAddr})
	if err != nil {
		return err
	}
	endpoint, err := newEndpoint(addr, log)
	if err != nil {
		return err
	}
	gateway, err := newGateway(s, endpoint, redisbus.New(redis), log)
	if err != nil {
		return err
	}
	gateway.limit.Store(*maxCalls)
	listener, err := net.Listen("tcp", *httpAddr)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: gateway.handler(), ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = web.Serve(listener) }()
	log.Info("gateway is ready", "sip", addr, "http", *httpAddr)

	told, done := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer done()
	<-told.Done()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	log.Info("gateway stops", "calls", gateway.count())
	gateway.shutdown(ctx)
	return web.Close()
}
