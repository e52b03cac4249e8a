package main

// How does the carrier speak SIP? The trunk takes INVITEs from the gateway, lets the dialled phone answer them, and passes what comes
// later to the call it belongs to.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

// deadTime is how long a caller repeats an INVITE that nobody answers (timer B of RFC 3261), and a little more.
const deadTime = 40 * time.Second

// A Trunk connects the gateway and the phones.
type Trunk struct {
	host    string
	gateway sip.Uri
	book    *Phonebook
	ledger  *Ledger
	limit   *RateLimit

	agent   *sipgo.UserAgent
	server  *sipgo.Server
	dialogs sipgo.DialogUA
	socket  net.PacketConn
}

func openTrunk(address, gateway string, book *Phonebook, ledger *Ledger, limit *RateLimit) (*Trunk, error) {
	sip.Timer_1xx = 24 * time.Hour // no automatic 100 Trying: a dead phone must stay silent, all others send it themselves
	host, port, err := sip.ParseAddr(address)
	if err != nil {
		return nil, err
	}
	gatewayHost, gatewayPort, err := sip.ParseAddr(gateway)
	if err != nil {
		return nil, err
	}
	socket, err := net.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	agent, err := sipgo.NewUA(sipgo.WithUserAgent("carrier"), sipgo.WithUserAgentHostname(host))
	if err != nil {
		return nil, err
	}
	server, err := sipgo.NewServer(agent)
	if err != nil {
		return nil, err
	}
	client, err := sipgo.NewClient(agent, sipgo.WithClientAddr(address), sipgo.WithClientConnectionAddr(address))
	if err != nil {
		return nil, err
	}
	trunk := &Trunk{
		host: host, gateway: sip.Uri{Scheme: "sip", Host: gatewayHost, Port: gatewayPort}, book: book, ledger: ledger, limit: limit,
		agent: agent, server: server, socket: socket,
		dialogs: sipgo.DialogUA{Client: client, ContactHDR: sip.ContactHeader{Address: sip.Uri{Scheme: "sip", User: "carrier", Host: host, Port: port}}},
	}
	server.OnInvite(trunk.onInvite)
	server.OnAck(trunk.onAck)
	server.OnBye(trunk.onBye)
	server.OnRefer(trunk.onRefer)
	server.OnOptions(trunk.onOptions)
	server.OnInfo(trunk.inCall)
	server.OnUpdate(trunk.inCall)
	server.OnCancel(trunk.inCall) // one that came too late: the transaction layer takes the others
	return trunk, nil
}

// Serve reads from the socket until it is closed.
func (t *Trunk) Serve() error { return t.server.ServeUDP(t.socket) }

// Close hangs up every phone, waits until the other sides know or the time is up, and closes the socket.
func (t *Trunk) Close(ctx context.Context) error {
	calls := t.ledger.Calls()
	for _, call := range calls {
		call.hangUp()
	}
	for _, call := range calls {
		select {
		case <-call.ended:
		case <-ctx.Done():
		}
	}
	return errors.Join(t.agent.Close(), t.socket.Close())
}

func (t *Trunk) onInvite(req *sip.Request, tx sip.ServerTransaction) {
	if req.CallID() == nil || req.From() == nil || req.To() == nil {
		respond(req, tx, 400)
		return
	}
	if _, inDialog := req.To().Params.Get("tag"); inDialog {
		t.onReinvite(req, tx)
		return
	}
	call, err := t.ledger.Open(req.CallID().Value(), "outbound", req.From().Address.User, req.Recipient.User)
	if err != nil { // without a witness no phone rings
		slog.Error("call refused", "error", err)
		respond(req, tx, 500)
		return
	}
	if !t.limit.Allow(call.invited) {
		call.Rejected(503)
		respond(req, tx, 503)
		return
	}
	dialog, err := t.dialogs.ReadInvite(req, tx)
	if err != nil {
		call.Rejected(400)
		respond(req, tx, 400)
		return
	}
	call.phone = t.book.Find(call.to)
	call.attach(dialog)
	if err := t.ring(call, dialog); err != nil {
		slog.Warn("call failed", "call", call.id, "error", err)
	}
	call.close()
}

// ring is the time from the INVITE to the answer of a phone, and all that follows.
func (t *Trunk) ring(call *Call, dialog *sipgo.DialogServerSession) error {
	phone := call.phone
	if phone.Dead {
		select {
		case <-dialog.Context().Done():
		case <-call.hungUp.Done():
		case <-time.After(deadTime):
		}
		return nil
	}
	if err := dialog.Respond(100, "Trying", nil); err != nil {
		return err
	}
	agreement, err := agree(dialog.InviteRequest.Body(), phone.Codecs)
	if err != nil {
		call.Rejected(488)
		return errors.Join(err, dialog.Respond(488, reason(488), nil))
	}
	if err := call.openLine(t.host); err != nil {
		return err
	}
	description, err := agreement.answer(call.line.Address())
	if err != nil {
		return err
	}
	if err := t.progress(call, dialog, agreement, description); err != nil {
		return err
	}
	var answerTime <-chan time.Time
	if !phone.NoAnswer {
		answerTime = time.After(time.Until(call.invited.Add(milliseconds(phone.RingMs))))
	}
	select {
	case <-dialog.Context().Done():
		call.Cancelled()
		return nil
	case <-call.hungUp.Done():
		call.Rejected(603)
		return dialog.Respond(603, reason(603), nil)
	case <-answerTime:
	}
	if phone.Reject != 0 {
		call.Rejected(phone.Reject)
		return dialog.Respond(phone.Reject, reason(phone.Reject), nil)
	}
	return t.answer(call, dialog, agreement, description)
}

// progress sends the provisional response of a phone, with early media if it has some.
func (t *Trunk) progress(call *Call, dialog *sipgo.DialogServerSession, agreement *Agreement, description []byte) error {
	switch call.phone.Progress {
	case 180:
		call.Ringing()
		return dialog.Respond(180, "Ringing", nil)
	case 183:
		call.Ringing()
		if err := dialog.Respond(183, "Session Progress", description, sip.NewHeader("Content-Type", "application/sdp")); err != nil {
			return err
		}
		call.line.Start(agreement)
		if len(call.phone.earlyMedia) > 0 {
			go say(dialog.Context(), call.line, call.phone.earlyMedia)
		}
	}
	return nil
}

func (t *Trunk) answer(call *Call, dialog *sipgo.DialogServerSession, agreement *Agreement, description []byte) error {
	response := sip.NewSDPResponseFromRequest(dialog.InviteRequest, description)
	for name, value := range call.phone.AnswerSIPHeaders {
		response.AppendHeader(sip.NewHeader(name, value))
	}
	call.mu.Lock()
	call.answer = description
	call.mu.Unlock()
	if err := call.Answered(agreement.Codec); err != nil {
		return err
	}
	acknowledged := make(chan error, 1)
	go func() { acknowledged <- dialog.WriteResponse(response) }() // returns with the ACK, and repeats the 200 until then
	call.line.Start(agreement)
	call.conduct("caller")
	if err := <-acknowledged; err != nil {
		return fmt.Errorf("the answer was not acknowledged: %w", err)
	}
	return nil
}

// onReinvite answers a repeated INVITE within a call (a session refresh, a hold) as the first one.
func (t *Trunk) onReinvite(req *sip.Request, tx sip.ServerTransaction) {
	call := t.ledger.Find(req.CallID().Value())
	if call == nil {
		respond(req, tx, 481)
		return
	}
	_, description := call.signalling()
	response := sip.NewSDPResponseFromRequest(req, description)
	response.AppendHeader(&t.dialogs.ContactHDR)
	send(tx, response)
}

func (t *Trunk) onAck(req *sip.Request, tx sip.ServerTransaction) {
	if call := t.find(req); call != nil {
		dialog, _ := call.signalling()
		if server, ok := dialog.(*sipgo.DialogServerSession); ok {
			if err := server.ReadAck(req, tx); err != nil && !errors.Is(err, sipgo.ErrDialogInvalidCseq) { // of a re-INVITE
				slog.Warn("ACK", "call", call.id, "error", err)
			}
		}
	}
}

func (t *Trunk) onBye(req *sip.Request, tx sip.ServerTransaction) {
	call := t.find(req)
	if call == nil {
		respond(req, tx, 481)
		return
	}
	dialog, _ := call.signalling()
	if dialog == nil {
		respond(req, tx, 481)
		return
	}
	if err := dialog.ReadBye(req, tx); err != nil {
		slog.Warn("BYE", "call", call.id, "error", err)
		respond(req, tx, 500)
	}
}

// onRefer agrees to be transferred and tells how the new call went, as the phone's `transfer` says.
func (t *Trunk) onRefer(req *sip.Request, tx sip.ServerTransaction) {
	call, target := t.find(req), req.GetHeader("Refer-To")
	if call == nil || target == nil {
		respond(req, tx, 481)
		return
	}
	call.Transferred(strings.Trim(target.Value(), "<> "))
	respond(req, tx, 202)
	dialog, _ := call.signalling()
	for _, status := range []int{180, call.phone.Transfer} {
		notify := sip.NewRequest(sip.NOTIFY, req.Contact().Address)
		notify.AppendHeader(sip.NewHeader("Event", "refer"))
		state := "active;expires=60"
		if status >= 200 {
			state = "terminated;reason=noresource"
		}
		notify.AppendHeader(sip.NewHeader("Subscription-State", state))
		notify.AppendHeader(sip.NewHeader("Content-Type", "message/sipfrag;version=2.0"))
		notify.SetBody(fmt.Appendf(nil, "SIP/2.0 %d %s\r\n", status, reason(status)))
		ctx, cancel := context.WithTimeout(context.Background(), byeTimeout)
		_, err := dialog.Do(ctx, notify)
		cancel()
		if err != nil {
			slog.Warn("NOTIFY", "call", call.id, "error", err)
			return
		}
		await(dialog.Context(), 300*time.Millisecond, func(time.Time) bool { return false }) // a new call takes its time to ring
	}
}

func (t *Trunk) onOptions(req *sip.Request, tx sip.ServerTransaction) { respond(req, tx, 200) }

// inCall answers requests that change nothing, if they belong to a call.
func (t *Trunk) inCall(req *sip.Request, tx sip.ServerTransaction) {
	if t.find(req) == nil {
		respond(req, tx, 481)
		return
	}
	respond(req, tx, 200)
}

func (t *Trunk) find(req *sip.Request) *Call {
	if req.CallID() == nil {
		return nil
	}
	return t.ledger.Find(req.CallID().Value())
}

func respond(req *sip.Request, tx sip.ServerTransaction, status int) {
	send(tx, sip.NewResponseFromRequest(req, status, reason(status), nil))
}

func send(tx sip.ServerTransaction, response *sip.Response) {
	if err := tx.Respond(response); err != nil {
		slog.Warn("response not sent", "status", response.StatusCode, "error", err)
	}
}

var reasons = map[int]string{
	180: "Ringing", 200: "OK", 202: "Accepted", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 408: "Request Timeout",
	410: "Gone", 480: "Temporarily Unavailable", 481: "Call/Transaction Does Not Exist", 484: "Address Incomplete", 486: "Busy Here",
	487: "Request Terminated", 488: "Not Acceptable Here", 500: "Server Internal Error", 502: "Bad Gateway", 503: "Service Unavailable",
	504: "Server Time-out", 600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere", 607: "Unwanted", 608: "Rejected",
}

func reason(status int) string {
	if text, ok := reasons[status]; ok {
		return text
	}
	return "Refused"
}
