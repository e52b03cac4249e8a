package main

// room.go answers: how does a phone take part in a LiveKit room? It joins with its own token, publishes one Opus track,
// subscribes to the audio of everybody else, and passes attributes and key presses on.

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/logger"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	joinTimeout = 8 * time.Second
	// reconnectLimit is how long a call survives without its room: long enough for a server to restart, short
	// enough that nobody is left listening to silence.
	reconnectLimit = 12 * time.Second
)

// roomEvents is what a room tells the call. The functions are called one at a time for each kind.
type roomEvents struct {
	track func(*webrtc.TrackRemote)
	key   func(code uint8)
	gone  func(livekit.DisconnectReason)
	// sidOf asks the server for the id of the room that now has this name.
	sidOf func(ctx context.Context, name string) (string, error)
}

// room is a phone's place in a LiveKit room.
type room struct {
	log    *slog.Logger
	room   *lksdk.Room
	track  *lksdk.LocalTrack
	events roomEvents

	joined     chan struct{} // closed when the server has let us in
	joinedOnce sync.Once
	heard      chan struct{} // closed at the first audio track of somebody else
	heardOnce  sync.Once
	goneOnce   sync.Once
	left       atomic.Bool

	mu         sync.Mutex
	attributes map[string]string
	lost       *time.Timer
}

// newRoom prepares a phone's place in a room: what it will send there can be given to it from now on.
func newRoom(attributes map[string]string, events roomEvents, log *slog.Logger) (*room, error) {
	track, err := lksdk.NewLocalTrack(webrtc.RTPCodecCapability{
		MimeType: webrtc.MimeTypeOpus, ClockRate: opusClock, Channels: 2, SDPFmtpLine: "minptime=10;useinbandfec=1",
	})
	if err != nil {
		return nil, fmt.Errorf("opus track: %w", err)
	}
	r := &room{
		log: log, track: track, events: events, attributes: maps.Clone(attributes),
		joined: make(chan struct{}), heard: make(chan struct{}),
	}
	r.room = lksdk.NewRoom(&lksdk.RoomCallback{
		OnDisconnected: func() { r.gone(r.room.DisconnectReason()) },
		OnReconnecting: r.reconnecting,
		OnReconnected:  r.reconnected,
		ParticipantCallback: lksdk.ParticipantCallback{
			OnAttributesChanged: func(_ map[string]string, p lksdk.Participant) {
				if p == lksdk.Participant(r.room.LocalParticipant) {
					r.joinedOnce.Do(func() { close(r.joined) }) // the first are those of our token
				}
			},
			OnTrackPublished: func(publication *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
				if publication.Kind() == lksdk.TrackKindAudio {
					if err := publication.SetSubscribed(true); err != nil {
						log.Warn("not subscribed", "track", publication.SID(), "error", err)
					}
				}
			},
			OnTrackSubscribed: func(track *webrtc.TrackRemote, publication *lksdk.RemoteTrackPublication, _ *lksdk.RemoteParticipant) {
				if publication.Kind() == lksdk.TrackKindAudio {
					events.track(track)
					r.heardOnce.Do(func() { close(r.heard) })
				}
			},
			OnDataPacket: func(packet lksdk.DataPacket, _ lksdk.DataReceiveParams) {
				if press, ok := packet.(*livekit.SipDTMF); ok {
					r.pressed(press)
				}
			},
		},
	})
	return r, nil
}

// join enters the room, with a token that carries the attributes. It returns as soon as the others can see us.
func (r *room) join(ctx context.Context, url, token string) error {
	connected := make(chan error, 1)
	go func() {
		connected <- r.room.JoinWithContextAndToken(context.WithoutCancel(ctx), url, token,
			lksdk.WithAutoSubscribe(false), lksdk.WithConnectTimeout(joinTimeout),
			lksdk.WithDisableRegionDiscovery(), lksdk.WithLogger(logger.GetDiscardLogger()),
		)
	}()
	var err error
	select {
	case err = <-connected:
	case <-ctx.Done():
		err = ctx.Err()
	case <-r.joined:
		// Media may take a second more, which a phone that rings does not need.
		go func() {
			if err := <-connected; err != nil && !r.left.Load() {
				r.log.Warn("no media connection to the room", "error", err)
				r.gone(livekit.DisconnectReason_JOIN_FAILURE)
			}
		}()
	}
	if err != nil {
		return fmt.Errorf("join: %w", err)
	}
	return nil
}

// publish adds the phone's track to the room.
func (r *room) publish() error {
	_, err := r.room.LocalParticipant.PublishTrack(r.track, &lksdk.TrackPublicationOptions{
		Name: "sip", Source: livekit.TrackSource_MICROPHONE, DisableDTX: true,
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	return nil
}

func (r *room) identity() string { return r.room.LocalParticipant.Identity() }
func (r *room) sid() string      { return r.room.LocalParticipant.SID() }

// write implements trackWriter.
func (r *room) write(packet *rtp.Packet, level uint8) error {
	return r.track.WriteRTP(packet, &lksdk.SampleWriteOptions{AudioLevel: &level})
}

// set changes attributes of the participant.
func (r *room) set(attributes map[string]string) {
	r.mu.Lock()
	maps.Copy(r.attributes, attributes)
	r.mu.Unlock()
	r.room.LocalParticipant.SetAttributes(attributes)
}

func (r *room) setStatus(status string) {
	r.set(map[string]string{livekit.AttrSIPCallStatus: status})
}

// current returns the attributes as the room sees them, those that others have set included.
func (r *room) current() map[string]string {
	r.mu.Lock()
	defer r.mu.Unlock()
	attributes := maps.Clone(r.attributes)
	maps.Copy(attributes, r.room.LocalParticipant.Attributes())
	return attributes
}

// sendKey tells the room that the phone pressed a key.
func (r *room) sendKey(code uint8) {
	digit, ok := digitOf(code)
	if !ok {
		return
	}
	if err := r.room.LocalParticipant.PublishDTMF(uint32(code), digit); err != nil {
		r.log.Warn("key press not sent to the room", "error", err)
	}
}

// pressed takes a key press that somebody in the room sends to the phone: by its digit, or else by its code.
func (r *room) pressed(press *livekit.SipDTMF) {
	for _, digit := range press.Digit {
		if code, ok := eventOf(digit); ok {
			r.events.key(code)
		}
	}
	if press.Digit == "" && press.Code <= uint32(len(eventDigits)) {
		r.events.key(uint8(press.Code))
	}
}

// leave ends the phone's part in the room.
func (r *room) leave(reason livekit.DisconnectReason) {
	r.left.Store(true)
	r.goneOnce.Do(func() {}) // from here on the end is ours, not the server's
	r.stopWaiting()
	r.room.DisconnectWithReason(reason)
}

// gone is called once the server, or the loss of it, has ended our part in the room.
func (r *room) gone(reason livekit.DisconnectReason) {
	r.stopWaiting()
	r.goneOnce.Do(func() { r.events.gone(reason) })
}

func (r *room) reconnecting() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost == nil {
		r.log.Warn("room connection lost")
		r.lost = time.AfterFunc(reconnectLimit, func() { r.gone(livekit.DisconnectReason_SIGNAL_CLOSE) })
	}
}

// reconnected tells a server that may have forgotten us what has changed since we joined. A room that was deleted
// in the very moment we lost it would now exist again, with nobody in it but the phone: then we are gone, too.
func (r *room) reconnected() {
	r.stopWaiting()
	r.mu.Lock()
	attributes := maps.Clone(r.attributes)
	r.mu.Unlock()
	r.log.Info("room connection is back")
	r.room.LocalParticipant.SetAttributes(attributes)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), joinTimeout)
		defer cancel()
		sid, err := r.events.sidOf(ctx, r.room.Name())
		switch {
		case err != nil:
			r.log.Warn("room not found again", "error", err)
		case sid != r.room.SID():
			r.gone(livekit.DisconnectReason_ROOM_DELETED)
			r.room.DisconnectWithReason(livekit.DisconnectReason_CLIENT_INITIATED)
		}
	}()
}

func (r *room) stopWaiting() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.lost != nil {
		r.lost.Stop()
		r.lost = nil
	}
}
