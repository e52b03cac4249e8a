package main

// inbound.go answers: which room does a caller belong in, and when is the call answered? LiveKit's dispatch rules decide
// the room; the phone hears ringing until somebody in the room is there to talk, and only then is the call answered.

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	lksip "github.com/livekit/protocol/sip"
)

const (
	ringEvery    = time.Second
	longestRing  = 3 * time.Minute
	rulesTimeout = 5 * time.Second
)

var (
	errNoRule = errors.New("no dispatch rule takes this call")
	errNoAuth = errors.New("caller is not authorized")
)

// invited takes an INVITE that starts a call. It returns when the call is answered or over, since the transaction ends
// with it.
func (g *gateway) invited(req *sip.Request, tx sip.ServerTransaction) {
	offer, err := readSDP(req.Body())
	if err != nil || req.From() == nil || req.To() == nil || req.Contact() == nil {
		g.endpoint.reply(req, tx, 488, "Not Acceptable Here")
		return
	}
	c := g.newCall(lksip.NewCallID(), 0)
	if err := g.admit(c); err != nil {
		c.end(endedByShutdown)
		g.endpoint.reply(req, tx, 503, "Service Unavailable")
		return
	}
	in := &inbound{call: c, req: req.Clone(), tx: tx, offer: offer}
	in.req.To().Params.Add("tag", sip.GenerateTagN(16))
	tx.OnCancel(func(*sip.Request) { c.end(endedByCaller) })
	in.provisional(100, "Trying")
	switch err := in.take(); {
	case err == nil:
		go c.live()
	case errors.Is(err, errNoRule):
		// LiveKit's service gives no final response here, so that whoever tries numbers at random learns nothing.
		c.log.Info("call ignored", "to", in.req.To().Address.User, "why", err)
		select {
		case <-c.ctx.Done():
		case <-time.After(longestRing):
		}
		in.drop()
	default:
		c.log.Info("call not taken", "why", err)
		in.drop()
	}
}

// inbound is a call from a phone that is not answered yet.
type inbound struct {
	*call
	req   *sip.Request // with our tag in To
	tx    sip.ServerTransaction
	offer remoteAudio
}

// drop ends a call that never was. What is to be said to the caller has been said.
func (in *inbound) drop() {
	in.end(endedByCaller)
	in.leave(in.cause().reason)
}

func (in *inbound) provisional(code int, reason string) {
	res := sip.NewResponseFromRequest(in.req, code, reason, nil)
	in.gateway.endpoint.sign(res)
	if code > 100 {
		res.AppendHeader(in.gateway.endpoint.contact(in.req.To().Address.User, in.req.Transport()))
	}
	if err := in.tx.Respond(res); err != nil {
		in.log.Debug("provisional response", "code", code, "error", err)
	}
}

func (in *inbound) refuse(code int, reason string) {
	in.gateway.endpoint.reply(in.req, in.tx, code, reason)
}

// take finds the room, joins it, waits for company and answers.
func (in *inbound) take() error {
	sipCall, err := in.sipCall()
	if err != nil {
		in.refuse(400, "Bad Request")
		return err
	}
	auth, err := in.authorize(sipCall)
	if err != nil {
		return err
	}
	in.provisional(180, "Ringing")
	rule, err := in.rule(sipCall, auth.SipTrunkId)
	if err != nil {
		return err
	}
	if longest := rule.MaxCallDuration.AsDuration(); longest > 0 {
		limit := time.AfterFunc(longest, func() { in.end(endedByLimit) })
		context.AfterFunc(in.ctx, func() { limit.Stop() })
	}
	if err := in.join(rule); err != nil {
		in.refuse(503, "Service Unavailable")
		return err
	}
	if err := in.wait(rule); err != nil {
		return err
	}
	return in.answer(rule)
}

// sipCall describes the call to whoever decides about it.
func (in *inbound) sipCall() (*rpc.SIPCall, error) {
	source, err := netip.ParseAddrPort(in.req.Source())
	if err != nil {
		return nil, fmt.Errorf("source address: %w", err)
	}
	uri := func(u sip.Uri) *livekit.SIPUri {
		return &livekit.SIPUri{User: u.User, Host: u.Host, Port: uint32(u.Port)}
	}
	return &rpc.SIPCall{
		LkCallId: in.id, SourceIp: source.Addr().Unmap().String(), SipCallId: in.req.CallID().Value(),
		Address: uri(in.req.Recipient), From: uri(in.req.From().Address), To: uri(in.req.To().Address),
	}, nil
}

// authorize asks the caller for the trunk's password, where the trunk has one.
func (in *inbound) authorize(sipCall *rpc.SIPCall) (*rpc.GetSIPTrunkAuthenticationResponse, error) {
	ctx, cancel := context.WithTimeout(in.ctx, rulesTimeout)
	defer cancel()
	auth, err := in.gateway.rules.GetSIPTrunkAuthentication(ctx, &rpc.GetSIPTrunkAuthenticationRequest{Call: sipCall})
	if err != nil {
		return nil, errors.Join(errNoRule, err)
	}
	if auth.Drop {
		return nil, errNoRule
	}
	if auth.Username == "" || auth.Password == "" {
		return auth, nil
	}
	if in.gateway.nonces.authorized(in.req, auth.Username, auth.Password) {
		return auth, nil
	}
	res := sip.NewResponseFromRequest(in.req, 407, "Proxy Authentication Required", nil)
	in.gateway.endpoint.sign(res)
	challenge := digest.Challenge{Realm: userAgent, Nonce: in.gateway.nonces.fresh(), Algorithm: "MD5"}
	res.AppendHeader(sip.NewHeader("Proxy-Authenticate", challenge.String()))
	if err := in.tx.Respond(res); err != nil {
		return nil, err
	}
	return nil, errNoAuth
}

// rule asks which room the caller belongs in.
func (in *inbound) rule(sipCall *rpc.SIPCall, trunkID string) (*rpc.EvaluateSIPDispatchRulesResponse, error) {
	ctx, cancel := context.WithTimeout(in.ctx, rulesTimeout)
	defer cancel()
	rule, err := in.gateway.rules.EvaluateSIPDispatchRules(ctx, &rpc.EvaluateSIPDispatchRulesRequest{
		SipCallId: in.id, SipTrunkId: trunkID, NoPin: true, Call: sipCall,
	})
	if err != nil {
		return nil, errors.Join(errNoRule, err)
	}
	rule.Upgrade()
	switch rule.Result {
	case rpc.SIPDispatchResult_ACCEPT:
		return rule, nil
	case rpc.SIPDispatchResult_REJECT:
		in.refuse(403, "Forbidden")
		return nil, errors.New("dispatch rule rejects the call")
	case rpc.SIPDispatchResult_REQUEST_PIN:
		in.refuse(403, "Forbidden")
		return nil, errors.New("dispatch rule wants a PIN, which this gateway does not ask for")
	default:
		return nil, errNoRule
	}
}

// join puts the caller into the room, as not yet answered.
func (in *inbound) join(rule *rpc.EvaluateSIPDispatchRulesResponse) error {
	attributes := joinAttributes(rule.ParticipantAttributes, statusRinging)
	tag, _ := in.req.From().Params.Get("tag")
	maps.Copy(attributes, dialogAttributes(in.req.CallID().Value(), tag))
	maps.Copy(attributes, headerAttributes(in.req.Headers(), rule.HeadersToAttributes, rule.IncludeHeaders))
	token, url := rule.Token, rule.WsUrl
	if url == "" {
		url = in.gateway.settings.liveKitURL
	}
	if token == "" {
		var err error
		token, err = lksip.BuildSIPToken(lksip.SIPTokenParams{
			APIKey: in.gateway.settings.apiKey, APISecret: in.gateway.settings.apiSecret, RoomName: rule.RoomName,
			ParticipantIdentity: rule.ParticipantIdentity, ParticipantName: rule.ParticipantName,
			ParticipantMetadata: rule.ParticipantMetadata, ParticipantAttributes: attributes,
			RoomPreset: rule.RoomPreset, RoomConfig: rule.RoomConfig,
		})
		if err != nil {
			return err
		}
	}
	in.attributesToHeaders = rule.AttributesToHeaders
	if err := in.connect(in.ctx, url, token, attributes); err != nil {
		return err
	}
	return in.room.publish()
}

// wait rings until somebody in the room can be heard.
func (in *inbound) wait(rule *rpc.EvaluateSIPDispatchRulesResponse) error {
	again := time.NewTicker(ringEvery)
	defer again.Stop()
	enough := time.NewTimer(positive(rule.RingingTimeout, longestRing))
	defer enough.Stop()
	for {
		select {
		case <-in.room.heard:
			return nil
		case <-again.C:
			in.provisional(180, "Ringing")
		case <-enough.C:
			in.refuse(480, "Temporarily Unavailable")
			in.end(endedUnanswered)
			return endedUnanswered
		case <-in.ctx.Done():
			why := in.cause()
			if why != endedByCaller { // whose CANCEL has been answered by the transaction
				in.refuse(480, "Temporarily Unavailable")
			}
			return why
		}
	}
}

// answer sends the 200, and starts the call as soon as the phone has acknowledged it.
func (in *inbound) answer(rule *rpc.EvaluateSIPDispatchRulesResponse) error {
	agreed := in.offer.choose()
	body, err := answerSDP(in.media.local, agreed)
	if err != nil {
		return err
	}
	d := in.serverDialog()
	in.attach(d)
	headers := attributeHeaders(in.room.current(), in.attributesToHeaders)
	for name, value := range rule.Headers {
		headers = append(headers, sip.NewHeader(name, value))
	}
	in.media.start(agreed)
	if err := d.deliver(in.ctx, in.tx, d.accept(in.req, body, headers...)); err != nil {
		in.log.Warn("answer not acknowledged", "error", err)
		in.end(endedByPhone)
		return nil // it was answered all the same: the call's regular end says BYE
	}
	in.room.setStatus(statusActive)
	in.log.Info("call answered", "from", in.req.From().Address.User, "to", in.req.To().Address.User)
	return nil
}

// serverDialog is the dialog of a call that the other side placed.
func (in *inbound) serverDialog() *dialog {
	to, from := in.req.To(), in.req.From()
	d := &dialog{
		endpoint: in.gateway.endpoint, callID: in.req.CallID().Value(), transport: in.req.Transport(),
		local: to.AsFrom(), remote: from.AsTo(), target: in.req.Contact().Address,
	}
	for _, route := range in.req.GetHeaders("Record-Route") {
		d.routes = append(d.routes, route.Value())
	}
	return d
}
