package main

// outbound.go answers: how is a phone called for a room? The participant joins first, so that the room can watch the
// call from its start; then the phone is dialled, and what it does is told to the room and to whoever asked.

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	lksip "github.com/livekit/protocol/sip"
	"github.com/livekit/psrpc"
	"google.golang.org/protobuf/types/known/durationpb"
)

const (
	defaultRinging  = 3 * time.Minute
	longestCall     = 24 * time.Hour
	slowUnavailable = time.Second
)

// CreateSIPParticipant calls a phone. It returns at the answer if the request says so, else as soon as dialling starts.
func (g *gateway) CreateSIPParticipant(ctx context.Context, req *rpc.InternalCreateSIPParticipantRequest) (*rpc.InternalCreateSIPParticipantResponse, error) {
	req.Upgrade()
	c := g.newCall(req.SipCallId, positive(req.MaxCallDuration, longestCall))
	if err := g.admit(c); err != nil {
		c.end(endedByShutdown)
		return nil, err
	}
	if err := c.joinFor(ctx, req); err != nil {
		c.leave(livekit.DisconnectReason_CLIENT_INITIATED)
		return nil, psrpc.NewError(psrpc.Unavailable, err)
	}
	response := &rpc.InternalCreateSIPParticipantResponse{
		ParticipantId: c.room.sid(), ParticipantIdentity: c.room.identity(), SipCallId: c.id,
	}
	if req.WaitUntilAnswered {
		return response, c.dial(ctx, req)
	}
	go func() {
		if err := c.dial(c.ctx, req); err != nil {
			c.log.Info("call failed", "error", err)
		}
	}()
	return response, nil
}

func positive(d *durationpb.Duration, otherwise time.Duration) time.Duration {
	if d.AsDuration() > 0 {
		return d.AsDuration()
	}
	return otherwise
}

func (c *call) joinFor(ctx context.Context, req *rpc.InternalCreateSIPParticipantRequest) error {
	attributes := joinAttributes(req.ParticipantAttributes, statusDialing)
	token, wsURL := req.Token, req.WsUrl
	if wsURL == "" {
		wsURL = c.gateway.settings.liveKitURL
	}
	if token == "" {
		var err error
		token, err = lksip.BuildSIPToken(lksip.SIPTokenParams{
			APIKey: c.gateway.settings.apiKey, APISecret: c.gateway.settings.apiSecret, RoomName: req.RoomName,
			ParticipantIdentity: req.ParticipantIdentity, ParticipantName: req.ParticipantName,
			ParticipantMetadata: req.ParticipantMetadata, ParticipantAttributes: attributes,
		})
		if err != nil {
			return err
		}
	}
	c.attributesToHeaders = req.AttributesToHeaders
	return c.connect(ctx, wsURL, token, attributes)
}

// dial calls the phone and starts the call when it is answered. Its error is the one for the API's caller.
func (c *call) dial(ctx context.Context, req *rpc.InternalCreateSIPParticipantRequest) error {
	go func() {
		if err := c.room.publish(); err != nil && c.ctx.Err() == nil {
			c.log.Error("phone is not heard in the room", "error", err)
		}
	}()
	inv, err := c.invitation(req)
	if err != nil {
		c.leave(livekit.DisconnectReason_CLIENT_INITIATED)
		return psrpc.NewError(psrpc.InvalidArgument, err)
	}
	tone := c.ringbackFor(req)
	d, res, err := c.ring(ctx, req, inv)
	tone()
	if err != nil {
		return c.failed(err, req.WaitUntilAnswered)
	}
	c.attach(d)
	if err := c.answered(req, res); err != nil {
		c.end(endedByPhone)
		go c.live()
		return psrpc.NewError(psrpc.InvalidArgument, err)
	}
	go c.live()
	return nil
}

// ring sends the INVITE and waits for the answer, no longer than the request allows.
func (c *call) ring(ctx context.Context, req *rpc.InternalCreateSIPParticipantRequest, inv invitation) (*dialog, *sip.Response, error) {
	ringing, cancel := context.WithTimeoutCause(c.ctx, positive(req.RingingTimeout, defaultRinging), endedUnanswered)
	defer cancel()
	giveUp := context.AfterFunc(ctx, func() { c.end(endedUnanswered) })
	defer giveUp()
	rings := false
	return c.gateway.endpoint.invite(ringing, inv, func(res *sip.Response) {
		if early, err := readSDP(res.Body()); err == nil {
			c.media.expect(early.accept())
		}
		if !rings {
			rings = true
			c.room.setStatus(statusRinging)
		}
	})
}

// answered starts the sound and tells the room.
func (c *call) answered(req *rpc.InternalCreateSIPParticipantRequest, res *sip.Response) error {
	agreed, _ := c.media.now() // from a 183, after which the 200 need not say it again
	if len(res.Body()) > 0 || agreed.codec.name == "" {
		remote, err := readSDP(res.Body())
		if err != nil {
			return err
		}
		agreed = remote.accept()
	}
	c.media.start(agreed)
	c.media.pressAll(req.Dtmf)
	attributes := headerAttributes(res.Headers(), req.HeadersToAttributes, req.IncludeHeaders)
	for key, value := range dialogAttributes(c.dialog.callID, c.dialog.remoteTag()) {
		attributes[key] = value
	}
	c.room.set(attributes)
	c.room.setStatus(statusActive)
	c.log.Info("call answered", "to", req.CallTo, "sip_call_id", c.dialog.callID)
	return nil
}

// failed ends a call that was not answered.
func (c *call) failed(err error, waiting bool) error {
	var (
		refused *refusal
		why     *ending
	)
	switch {
	case errors.As(err, &refused):
		c.log.Info("call refused", "code", refused.code, "reason", refused.reason)
		if refused.code == 480 && !waiting {
			// As measured (once): who watches the room must not rely on learning of a 480 at once.
			select {
			case <-time.After(slowUnavailable):
			case <-c.ctx.Done():
			}
		}
		c.leave(leaveReason(refused.code))
		return statusError(statusText(refused.code), refused.code, refused.reason)
	case errors.As(err, &why):
		c.log.Info("call not answered", "why", why.text)
		c.leave(why.reason)
	default:
		c.log.Info("call failed", "error", err)
		c.leave(livekit.DisconnectReason_USER_UNAVAILABLE)
	}
	return errTimedOut
}

// invitation turns the request into what goes on the wire.
func (c *call) invitation(req *rpc.InternalCreateSIPParticipantRequest) (invitation, error) {
	inv := invitation{transport: "UDP", credentials: sipgo.DigestAuth{Username: req.Username, Password: req.Password}}
	user := url.PathEscape(req.CallTo)
	if err := sip.ParseUri("sip:"+user+"@"+req.Address, &inv.to); err != nil {
		return inv, fmt.Errorf("trunk address %q: %w", req.Address, err)
	}
	if transport, ok := inv.to.UriParams.Get("transport"); ok {
		inv.transport = sip.ASCIIToUpper(transport)
	}
	if name := req.Transport.Name(); name != "" {
		inv.transport = sip.ASCIIToUpper(name)
	}
	host := req.Hostname
	if host == "" {
		host = c.gateway.endpoint.addr.Addr().String()
	}
	inv.from = sip.FromHeader{DisplayName: req.Number, Address: sip.Uri{Scheme: "sip", User: req.Number, Host: host}}
	if req.DisplayName != nil {
		inv.from.DisplayName = *req.DisplayName
	}
	inv.from.Params.Add("tag", sip.GenerateTagN(16))
	inv.toHeader = sip.ToHeader{Address: *inv.to.Clone()}
	if req.ToUserOverride != "" {
		inv.toHeader.Address.User = req.ToUserOverride
	}
	for name, value := range req.Headers {
		inv.headers = append(inv.headers, sip.NewHeader(name, value))
	}
	var err error
	inv.body, err = offerSDP(c.media.local)
	return inv, err
}
