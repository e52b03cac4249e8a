package main

// dialog.go answers: what can be said within one established SIP call? Requests of ours with the right tags, route and
// numbers; and those of the other side: BYE, NOTIFY, re-INVITE.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// dialog is one established call as SIP sees it, whoever placed it.
type dialog struct {
	endpoint    *endpoint
	callID      string
	local       sip.FromHeader
	remote      sip.ToHeader
	transport   string
	routes      []string
	credentials sipgo.DigestAuth

	// What the call does with requests of the other side. Set before the dialog is registered.
	onBye      func(req *sip.Request)
	onNotify   func(req *sip.Request)
	onReinvite func(body []byte) (answer []byte, err error)

	mu     sync.Mutex
	target sip.Uri
	cseq   uint32
	acked  chan struct{} // closed when the other side acknowledges our latest 2xx
	over   bool
}

func (d *dialog) localTag() string {
	tag, _ := d.local.Params.Get("tag")
	return tag
}

func (d *dialog) remoteTag() string {
	tag, _ := d.remote.Params.Get("tag")
	return tag
}

// build makes a request of ours; an ACK carries the number of the INVITE it acknowledges.
func (d *dialog) build(method sip.RequestMethod, number uint32, body []byte, contentType string, headers ...sip.Header) *sip.Request {
	d.mu.Lock()
	target := d.target
	d.mu.Unlock()
	req := sip.NewRequest(method, target)
	req.SetTransport(d.transport)
	callID, forwards := sip.CallIDHeader(d.callID), sip.MaxForwardsHeader(70)
	local, remote := d.local, d.remote
	for _, route := range d.routes {
		req.AppendHeader(sip.NewHeader("Route", route))
	}
	for _, header := range []sip.Header{
		&local, &remote, &callID, &sip.CSeqHeader{SeqNo: number, MethodName: method}, &forwards,
		d.endpoint.contact(d.local.Address.User, d.transport), sip.NewHeader("User-Agent", userAgent),
	} {
		req.AppendHeader(sip.HeaderClone(header))
	}
	for _, header := range headers {
		req.AppendHeader(header)
	}
	if body != nil {
		kind := sip.ContentTypeHeader(contentType)
		req.AppendHeader(&kind)
	}
	req.SetBody(body)
	return req
}

func (d *dialog) nextNumber() uint32 {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cseq++
	return d.cseq
}

// request sends a request and waits for its final response, giving our credentials if asked for them.
func (d *dialog) request(ctx context.Context, method sip.RequestMethod, headers ...sip.Header) (*sip.Response, error) {
	req := d.build(method, d.nextNumber(), nil, "", headers...)
	for challenged := false; ; challenged = true {
		tx, err := d.endpoint.transact(ctx, req)
		if err != nil {
			return nil, err
		}
		res, err := finalResponse(ctx, tx)
		tx.Terminate()
		if err != nil {
			return nil, err
		}
		if challenged || d.credentials.Username == "" || (res.StatusCode != 401 && res.StatusCode != 407) {
			return res, nil
		}
		if err := authorize(req, res, d.credentials); err != nil {
			return res, nil
		}
		req.RemoveHeader("Via")
		req.CSeq().SeqNo = d.nextNumber()
	}
}

func finalResponse(ctx context.Context, tx sip.ClientTransaction) (*sip.Response, error) {
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			return nil, errors.Join(errors.New("no response"), tx.Err())
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// bye ends the call. The dialog stays known for a moment, since the other side's BYE may have crossed ours.
func (d *dialog) bye(ctx context.Context, headers ...sip.Header) error {
	if !d.end() {
		return nil
	}
	defer d.endpoint.forget(d)
	res, err := d.request(ctx, sip.BYE, headers...)
	if err != nil {
		return fmt.Errorf("BYE: %w", err)
	}
	if !res.IsSuccess() && res.StatusCode != 481 {
		return fmt.Errorf("BYE: %s", res.StartLine())
	}
	return nil
}

// end marks the dialog as over; it tells whether it was not yet.
func (d *dialog) end() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := !d.over
	d.over = true
	return first
}

// receive takes a request of the other side.
func (d *dialog) receive(req *sip.Request, tx sip.ServerTransaction) {
	e := d.endpoint
	switch req.Method {
	case sip.ACK:
		d.acknowledged()
	case sip.BYE:
		first := d.end()
		e.reply(req, tx, 200, "OK")
		e.forget(d)
		if first {
			d.onBye(req)
		}
	case sip.NOTIFY:
		e.reply(req, tx, 200, "OK")
		d.onNotify(req)
	case sip.INVITE, sip.UPDATE:
		d.renegotiate(req, tx)
	default:
		e.reply(req, tx, 200, "OK")
	}
}

// renegotiate answers a re-INVITE or UPDATE: hold, another codec, another address, or merely a refresh.
func (d *dialog) renegotiate(req *sip.Request, tx sip.ServerTransaction) {
	if contact := req.Contact(); contact != nil {
		d.mu.Lock()
		d.target = contact.Address
		d.mu.Unlock()
	}
	if req.Method == sip.UPDATE && len(req.Body()) == 0 {
		d.endpoint.reply(req, tx, 200, "OK")
		return
	}
	answer, err := d.onReinvite(req.Body())
	if err != nil {
		d.endpoint.reply(req, tx, 488, "Not Acceptable Here")
		return
	}
	res := d.accept(req, answer)
	if req.Method == sip.UPDATE {
		_ = tx.Respond(res)
		return
	}
	if err := d.deliver(context.Background(), tx, res); err != nil {
		d.endpoint.log.Debug("re-INVITE", "error", err)
	}
}

// accept builds a 200 with a session description.
func (d *dialog) accept(req *sip.Request, body []byte, headers ...sip.Header) *sip.Response {
	res := sip.NewResponseFromRequest(req, 200, "OK", body)
	if to := res.To(); to != nil {
		to.Params.Add("tag", d.localTag())
	}
	res.AppendHeader(d.endpoint.contact(d.local.Address.User, d.transport))
	d.endpoint.sign(res)
	for _, header := range headers {
		res.AppendHeader(header)
	}
	kind := sip.ContentTypeHeader("application/sdp")
	res.AppendHeader(&kind)
	return res
}

// deliver sends a 2xx until it is acknowledged (RFC 3261 13.3.1.4).
func (d *dialog) deliver(ctx context.Context, tx sip.ServerTransaction, res *sip.Response) error {
	acked := make(chan struct{})
	d.mu.Lock()
	d.acked = acked
	d.mu.Unlock()
	deadline := time.NewTimer(transaction)
	defer deadline.Stop()
	for wait := sip.T1; ; wait = min(2*wait, sip.T2) {
		if err := tx.Respond(res); err != nil {
			return err
		}
		select {
		case <-acked:
			return nil
		case <-tx.Acks():
			return nil
		case <-time.After(wait):
		case <-deadline.C:
			return errors.New("200 was never acknowledged")
		case <-tx.Done():
			return errors.Join(errors.New("200 was never acknowledged"), tx.Err())
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *dialog) acknowledged() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.acked != nil {
		close(d.acked)
		d.acked = nil
	}
}
