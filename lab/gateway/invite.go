package main

// invite.go answers: how is an INVITE of ours carried through? It is sent, authorized if the trunk asks for it,
// followed until its final response and acknowledged; and taken back by CANCEL when the call is no longer wanted,
// whichever message crosses it on the way.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// invitation says whom to call and how.
type invitation struct {
	to          sip.Uri // the Request-URI
	transport   string
	from        sip.FromHeader // its tag included
	toHeader    sip.ToHeader
	headers     []sip.Header
	body        []byte
	credentials sipgo.DigestAuth
}

// refusal is a final response other than 2xx.
type refusal struct {
	code   int
	reason string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s", r.code, r.reason) }

// invite sends the INVITE and waits for the answer, which it acknowledges. Every provisional response but 100 goes to
// onProgress. When the context ends first, the INVITE is taken back in the background and the context's cause returned.
// The dialog is registered by the caller, once it can take requests.
func (e *endpoint) invite(ctx context.Context, inv invitation, onProgress func(*sip.Response)) (*dialog, *sip.Response, error) {
	callID := sip.CallIDHeader(sip.GenerateTagN(20))
	cseq := uint32(1)
	req := e.inviteRequest(inv, callID, cseq)
	for attempt := 0; ; attempt++ {
		tx, err := e.transact(ctx, req)
		if err != nil {
			return nil, nil, fmt.Errorf("INVITE: %w", err)
		}
		res, err := e.follow(ctx, req, tx, inv, onProgress)
		if err != nil {
			return nil, nil, err
		}
		if res.IsSuccess() {
			return e.answered(inv, req, tx, res)
		}
		tx.Terminate()
		challenged := res.StatusCode == 401 || res.StatusCode == 407
		if !challenged || inv.credentials.Username == "" || attempt > 1 || authorize(req, res, inv.credentials) != nil {
			return nil, nil, &refusal{res.StatusCode, res.Reason}
		}
		cseq++
		req = req.Clone()
		req.RemoveHeader("Via")
		req.CSeq().SeqNo = cseq
	}
}

func (e *endpoint) inviteRequest(inv invitation, callID sip.CallIDHeader, cseq uint32) *sip.Request {
	req := sip.NewRequest(sip.INVITE, inv.to)
	req.SetTransport(inv.transport)
	forwards, kind := sip.MaxForwardsHeader(70), sip.ContentTypeHeader("application/sdp")
	from, to := inv.from, inv.toHeader
	for _, header := range []sip.Header{
		&from, &to, &callID, &sip.CSeqHeader{SeqNo: cseq, MethodName: sip.INVITE}, &forwards,
		e.contact(inv.from.Address.User, inv.transport), sip.NewHeader("User-Agent", userAgent), sip.NewHeader("Allow", allowed), &kind,
	} {
		req.AppendHeader(header)
	}
	for _, header := range inv.headers {
		req.AppendHeader(header)
	}
	req.SetBody(inv.body)
	return req
}

// authorize adds our credentials to a request that was challenged.
func authorize(req *sip.Request, res *sip.Response, credentials sipgo.DigestAuth) error {
	asked, given := "WWW-Authenticate", "Authorization"
	if res.StatusCode == 407 {
		asked, given = "Proxy-Authenticate", "Proxy-Authorization"
	}
	header := res.GetHeader(asked)
	if header == nil {
		return errors.New("challenge without " + asked)
	}
	challenge, err := digest.ParseChallenge(header.Value())
	if err != nil {
		return err
	}
	challenge.Algorithm = sip.ASCIIToUpper(challenge.Algorithm)
	answer, err := digest.Digest(challenge, digest.Options{
		Method: req.Method.String(), URI: req.Recipient.Addr(), Username: credentials.Username, Password: credentials.Password,
	})
	if err != nil {
		return err
	}
	req.RemoveHeader(given)
	req.AppendHeader(sip.NewHeader(given, answer.String()))
	return nil
}

// follow waits for the final response.
func (e *endpoint) follow(
	ctx context.Context, req *sip.Request, tx sip.ClientTransaction, inv invitation, onProgress func(*sip.Response),
) (*sip.Response, error) {
	heard := false
	for {
		select {
		case res := <-tx.Responses():
			heard = true
			if !res.IsProvisional() {
				return res, nil
			}
			if res.StatusCode != 100 {
				onProgress(res)
			}
		case <-tx.Done():
			return nil, errors.Join(errors.New("INVITE without response"), tx.Err())
		case <-ctx.Done():
			e.takeBack(req, tx, inv, heard)
			return nil, context.Cause(ctx)
		}
	}
}

// answered acknowledges a 2xx and makes the dialog. The transaction stays, to acknowledge each repetition.
func (e *endpoint) answered(inv invitation, req *sip.Request, tx sip.ClientTransaction, res *sip.Response) (*dialog, *sip.Response, error) {
	d := e.dialogFrom(inv, req, res)
	acknowledge := func() { _ = e.write(d.build(sip.ACK, req.CSeq().SeqNo, nil, "")) }
	tx.OnRetransmission(func(*sip.Response) { acknowledge() })
	acknowledge()
	return d, res, nil
}

func (e *endpoint) dialogFrom(inv invitation, req *sip.Request, res *sip.Response) *dialog {
	d := &dialog{
		endpoint: e, callID: req.CallID().Value(), local: inv.from, transport: inv.transport,
		credentials: inv.credentials, target: inv.to, cseq: req.CSeq().SeqNo,
	}
	if to := res.To(); to != nil {
		d.remote = *to
	}
	if contact := res.Contact(); contact != nil {
		d.target = contact.Address
	}
	routes := res.GetHeaders("Record-Route")
	for i := len(routes) - 1; i >= 0; i-- {
		d.routes = append(d.routes, routes[i].Value())
	}
	return d
}

// abandonedInvite is one that nobody waits for any more, and to which no response has come.
type abandonedInvite struct {
	inv invitation
	req *sip.Request
}

// takeBack ends an INVITE in the background. RFC 3261 allows a CANCEL only after a provisional response. Where there
// was none, we fall silent, so that a phone which wakes up late does not ring, and cancel if a response comes after all.
func (e *endpoint) takeBack(req *sip.Request, tx sip.ClientTransaction, inv invitation, heard bool) {
	if !heard {
		tx.Terminate()
		e.abandon(inv, req)
		return
	}
	e.background.Go(func() {
		defer tx.Terminate()
		ctx, cancel := context.WithTimeout(context.Background(), transaction)
		defer cancel()
		e.cancel(ctx, req)
		for {
			res, err := finalResponse(ctx, tx)
			if err != nil {
				return // 64*T1 without a final response: RFC 3261 9.1 counts it as cancelled
			}
			if res.IsSuccess() {
				e.hangUpLate(ctx, inv, req, res)
			}
			return
		}
	})
}

func (e *endpoint) abandon(inv invitation, req *sip.Request) {
	id := req.CallID().Value()
	e.mu.Lock()
	e.abandoned[id] = &abandonedInvite{inv, req}
	e.mu.Unlock()
	time.AfterFunc(transaction, func() {
		e.mu.Lock()
		delete(e.abandoned, id)
		e.mu.Unlock()
	})
}

// late takes a response that belongs to no transaction: one to an INVITE that we abandoned, or a stray.
func (e *endpoint) late(res *sip.Response) {
	cseq, callID := res.CSeq(), res.CallID()
	if cseq == nil || callID == nil || cseq.MethodName != sip.INVITE {
		return
	}
	e.mu.Lock()
	invite := e.abandoned[callID.Value()]
	e.mu.Unlock()
	if invite == nil {
		return
	}
	e.background.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), transaction)
		defer cancel()
		switch {
		case res.IsProvisional():
			e.cancel(ctx, invite.req)
		case res.IsSuccess():
			e.hangUpLate(ctx, invite.inv, invite.req, res)
		default:
			ack := e.sibling(invite.req, sip.ACK)
			ack.RemoveHeader("To")
			ack.AppendHeader(sip.HeaderClone(res.To()))
			e.bind(ack)
			_ = e.client.WriteRequest(ack, asItIs)
		}
	})
}

// hangUpLate ends a call that was answered when we no longer wanted it.
func (e *endpoint) hangUpLate(ctx context.Context, inv invitation, req *sip.Request, res *sip.Response) {
	d := e.dialogFrom(inv, req, res)
	_ = e.write(d.build(sip.ACK, req.CSeq().SeqNo, nil, ""))
	if err := d.bye(ctx); err != nil {
		e.log.Warn("late answer not hung up", "sip_call_id", d.callID, "error", err)
	}
}

func (e *endpoint) cancel(ctx context.Context, invite *sip.Request) {
	tx, err := e.transact(ctx, e.sibling(invite, sip.CANCEL))
	if err != nil {
		e.log.Debug("CANCEL not sent", "error", err)
		return
	}
	defer tx.Terminate()
	if _, err := finalResponse(ctx, tx); err != nil {
		e.log.Debug("CANCEL", "error", err)
	}
}

// sibling is a request of the INVITE's own transaction: same branch, same number.
func (e *endpoint) sibling(invite *sip.Request, method sip.RequestMethod) *sip.Request {
	req := sip.NewRequest(method, invite.Recipient)
	req.SetTransport(invite.Transport())
	req.AppendHeader(sip.HeaderClone(invite.Via()))
	sip.CopyHeaders("Route", invite, req)
	forwards := sip.MaxForwardsHeader(70)
	for _, header := range []sip.Header{invite.From(), invite.To(), invite.CallID(), &forwards} {
		req.AppendHeader(sip.HeaderClone(header))
	}
	req.AppendHeader(&sip.CSeqHeader{SeqNo: invite.CSeq().SeqNo, MethodName: method})
	req.SetBody(nil)
	return req
}
