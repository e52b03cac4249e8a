package main

// call.go answers: what does a phone call consist of, and how does it end? It ties a room, a SIP dialog and their sound
// together. Whoever ends it, it ends once: the first cause decides what the phone and the room are told.

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/livekit/protocol/livekit"
	"github.com/pion/webrtc/v4"
)

const (
	byeTimeout = 4 * time.Second
	// removalGrace lets a phone that is removed hear the end of what was said to it: a word still on its way.
	removalGrace = 200 * time.Millisecond
	mostKeys     = 32 // pressed on the phone that the room has not been told of
)

// ending is the cause of a call's end.
type ending struct {
	text     string
	fromRoom bool                     // the room is over already: there is nobody to tell
	removed  bool                     // somebody has removed the phone from a room that goes on
	reason   livekit.DisconnectReason // with which we leave the room, where we do
}

func (e *ending) Error() string { return e.text }

var (
	endedByPhone    = &ending{text: "the phone hung up", reason: livekit.DisconnectReason_CLIENT_INITIATED}
	endedByLimit    = &ending{text: "longest call duration reached", reason: livekit.DisconnectReason_CLIENT_INITIATED}
	endedByTransfer = &ending{text: "transferred", reason: livekit.DisconnectReason_CLIENT_INITIATED}
	endedByShutdown = &ending{text: "gateway stops", reason: livekit.DisconnectReason_CLIENT_INITIATED}
	endedUnanswered = &ending{text: "nobody answered", reason: livekit.DisconnectReason_USER_UNAVAILABLE}
	endedByCaller   = &ending{text: "the caller gave up", reason: livekit.DisconnectReason_CLIENT_INITIATED}
)

// endedByRoom is the end of a call whose participant the server has removed, whatever the reason.
func endedByRoom(reason livekit.DisconnectReason) *ending {
	return &ending{
		text: "room: " + reason.String(), fromRoom: true,
		removed: reason == livekit.DisconnectReason_PARTICIPANT_REMOVED,
	}
}

// call is one phone call in one room.
type call struct {
	gateway *gateway
	id      string
	log     *slog.Logger
	room    *room
	media   *media
	dialog  *dialog

	attributesToHeaders map[string]string
	transferring        sync.Mutex
	reports             chan *sip.Request // NOTIFYs of a transfer under way

	// ctx ends with the call; its cause is an *ending.
	ctx context.Context
	end context.CancelCauseFunc
}

func (g *gateway) newCall(id string, longest time.Duration) *call {
	c := &call{gateway: g, id: id, log: g.log.With("call", id), reports: make(chan *sip.Request, 8)}
	c.ctx, c.end = context.WithCancelCause(g.ctx)
	if longest > 0 {
		limit := time.AfterFunc(longest, func() { c.end(endedByLimit) })
		context.AfterFunc(c.ctx, func() { limit.Stop() })
	}
	return c
}

// connect binds the socket for the phone's sound and joins the room.
func (c *call) connect(ctx context.Context, url, token string, attributes map[string]string) error {
	var err error
	c.room, err = newRoom(attributes, roomEvents{
		track: func(track *webrtc.TrackRemote) { c.media.listen(track) },
		key:   func(code uint8) { c.media.press(code) },
		gone:  func(reason livekit.DisconnectReason) { c.end(endedByRoom(reason)) },
		sidOf: c.gateway.sidOf,
	}, c.log)
	if err != nil {
		return err
	}
	// Telling the room may take a while, for which the phone's voice must not wait.
	pressed := make(chan uint8, mostKeys)
	c.media, err = newMedia(c.gateway.endpoint.addr.Addr(), c.room, func(code uint8) {
		select {
		case pressed <- code:
		default:
		}
	}, c.log)
	if err != nil {
		return err
	}
	go func() {
		for {
			select {
			case code := <-pressed:
				c.room.sendKey(code)
			case <-c.ctx.Done():
				return
			}
		}
	}()
	return c.room.join(ctx, url, token)
}

// attach gives the call its dialog, which from now on can end it.
func (c *call) attach(d *dialog) {
	d.onBye = func(*sip.Request) { c.end(endedByPhone) }
	d.onNotify = func(req *sip.Request) {
		select {
		case c.reports <- req:
		default:
		}
	}
	d.onReinvite = c.renegotiate
	c.dialog = d
	c.gateway.endpoint.register(d)
	if err := c.gateway.server.RegisterTransferSIPParticipantTopic(c.id); err != nil {
		c.log.Warn("call cannot be transferred", "error", err)
	}
}

func (c *call) renegotiate(body []byte) ([]byte, error) {
	agreed, _ := c.media.now()
	if len(body) > 0 {
		remote, err := readSDP(body)
		if err != nil {
			return nil, err
		}
		agreed = remote.choose()
		c.media.start(agreed)
	}
	return answerSDP(c.media.local, agreed)
}

// live is the life of an answered call, until its end.
func (c *call) live() {
	<-c.ctx.Done()
	why := c.cause()
	c.log.Info("call ends", "why", why.text)
	if why.removed {
		<-time.After(removalGrace)
	}
	headers := attributeHeaders(c.room.current(), c.attributesToHeaders)
	c.gateway.endpoint.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), byeTimeout)
		defer cancel()
		if err := c.dialog.bye(ctx, headers...); err != nil {
			c.log.Warn("phone did not confirm the end", "error", err)
		}
	})
	if !why.fromRoom {
		c.room.setStatus(statusHangup)
	}
	c.leave(why.reason)
}

// cause says why the call ended.
func (c *call) cause() *ending {
	var why *ending
	if errors.As(context.Cause(c.ctx), &why) {
		return why
	}
	return endedByShutdown
}

// leave frees all that the call holds, its place in the room first.
func (c *call) leave(reason livekit.DisconnectReason) {
	c.end(endedByPhone)
	if c.room != nil {
		c.room.leave(reason)
	}
	if c.media != nil {
		c.media.close()
	}
	if c.dialog != nil {
		c.gateway.server.DeregisterTransferSIPParticipantTopic(c.id)
	}
	c.gateway.remove(c)
}
