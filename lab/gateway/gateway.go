package main

// gateway.go answers: which calls are there, and may there be one more? It is what LiveKit's server talks to, in the
// place of LiveKit's own SIP service.

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
	lksdk "github.com/livekit/server-sdk-go/v2"
)

// settings are what the gateway was started with.
type settings struct {
	liveKitURL string
	apiKey     string
	apiSecret  string
}

// gateway holds every call. It implements rpc.SIPInternalServerImpl.
type gateway struct {
	settings settings
	log      *slog.Logger
	endpoint *endpoint
	rules    rpc.IOInfoClient
	server   rpc.SIPInternalServer
	rooms    *lksdk.RoomServiceClient
	nonces   nonces

	// ctx ends when the gateway is told to stop.
	ctx  context.Context
	stop context.CancelCauseFunc

	limit  atomic.Int64 // most calls at a time, 0 for no limit
	ending sync.WaitGroup
	mu     sync.Mutex
	calls  map[string]*call
}

func newGateway(s settings, endpoint *endpoint, bus psrpc.MessageBus, log *slog.Logger) (*gateway, error) {
	g := &gateway{settings: s, log: log, endpoint: endpoint, nonces: newNonces(), calls: map[string]*call{}}
	g.ctx, g.stop = context.WithCancelCause(context.Background())
	var err error
	if g.rules, err = rpc.NewIOInfoClient(bus); err != nil {
		return nil, err
	}
	if g.server, err = rpc.NewSIPInternalServer(g, bus); err != nil {
		return nil, err
	}
	g.rooms = lksdk.NewRoomServiceClient(s.liveKitURL, s.apiKey, s.apiSecret)
	endpoint.onInvite = g.invited
	return g, g.server.RegisterCreateSIPParticipantTopic("")
}

// admit counts a call in, unless there are too many.
func (g *gateway) admit(c *call) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if limit := g.limit.Load(); limit > 0 && int64(len(g.calls)) >= limit {
		return errOverloaded
	}
	if g.ctx.Err() != nil {
		return errors.New("gateway stops")
	}
	g.calls[c.id] = c
	g.ending.Add(1)
	return nil
}

// remove counts a call out.
func (g *gateway) remove(c *call) {
	g.mu.Lock()
	_, there := g.calls[c.id]
	delete(g.calls, c.id)
	g.mu.Unlock()
	if there {
		g.ending.Done()
	}
}

// sidOf finds the id of the room with this name; it is empty if there is none.
func (g *gateway) sidOf(ctx context.Context, name string) (string, error) {
	found, err := g.rooms.ListRooms(ctx, &livekit.ListRoomsRequest{Names: []string{name}})
	if err != nil || len(found.Rooms) == 0 {
		return "", err
	}
	return found.Rooms[0].Sid, nil
}

func (g *gateway) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.calls)
}

// shutdown ends every call and waits for the ends, as long as the context allows.
func (g *gateway) shutdown(ctx context.Context) {
	g.server.DeregisterCreateSIPParticipantTopic("")
	g.stop(endedByShutdown)
	ended := make(chan struct{})
	go func() {
		g.ending.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	g.endpoint.close(ctx)
	g.server.Kill()
}
