package main

// endpoint.go answers: what does the gateway say on its SIP port, and to whom does each message belong? It owns the
// socket and the transactions (sipgo), finds the dialog of each request, and answers what belongs to none.

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
)

const (
	userAgent   = "LiveKit"
	allowed     = "INVITE, ACK, CANCEL, BYE, NOTIFY, OPTIONS, INFO, UPDATE"
	largestUDP  = 65507
	transaction = 64 * 500 * time.Millisecond // 64*T1: how long the other side may still send about a transaction
)

// endpoint is the gateway's SIP side.
type endpoint struct {
	log     *slog.Logger
	addr    netip.AddrPort
	ua      *sipgo.UserAgent
	client  *sipgo.Client
	sockets []io.Closer

	// onInvite takes an INVITE that starts a call.
	onInvite func(req *sip.Request, tx sip.ServerTransaction)

	background sync.WaitGroup // transactions that outlive their call, such as a CANCEL

	mu        sync.Mutex
	dialogs   map[string]*dialog          // by Call-ID and our tag
	abandoned map[string]*abandonedInvite // by Call-ID
}

// newEndpoint binds UDP and TCP at the address, which must name a port.
func newEndpoint(addr netip.AddrPort, log *slog.Logger) (*endpoint, error) {
	sip.UDPMTUSize = largestUDP // loopback has no MTU to respect, and a large INVITE must not fail for its size
	e := &endpoint{log: log, addr: addr, dialogs: map[string]*dialog{}, abandoned: map[string]*abandonedInvite{}}
	quiet := slog.New(slog.DiscardHandler)
	sip.SetDefaultLogger(quiet)
	ua, err := sipgo.NewUA(
		sipgo.WithUserAgent(userAgent),
		sipgo.WithUserAgentHostname(addr.Addr().String()),
		sipgo.WithUserAgentTransactionLayerOptions(sip.WithTransactionLayerUnhandledResponseHandler(e.late)),
	)
	if err != nil {
		return nil, err
	}
	e.ua = ua
	if e.client, err = sipgo.NewClient(ua, sipgo.WithClientAddr(addr.String())); err != nil {
		return nil, err
	}
	server, err := sipgo.NewServer(ua)
	if err != nil {
		return nil, err
	}
	server.OnInvite(e.invited)
	server.OnAck(e.inDialog)
	for _, method := range []sip.RequestMethod{sip.BYE, sip.NOTIFY, sip.INFO, sip.UPDATE} {
		server.OnRequest(method, e.inDialog)
	}
	server.OnOptions(func(req *sip.Request, tx sip.ServerTransaction) { e.reply(req, tx, 200, "OK") })
	server.OnCancel(func(req *sip.Request, tx sip.ServerTransaction) {
		// One that belongs to a pending INVITE never gets here: its transaction takes it.
		e.reply(req, tx, 481, "Call/Transaction Does Not Exist")
	})
	server.OnNoRoute(func(req *sip.Request, tx sip.ServerTransaction) { e.reply(req, tx, 405, "Method Not Allowed") })
	return e, e.listen(server)
}

func (e *endpoint) listen(server *sipgo.Server) error {
	udp, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(e.addr))
	if err != nil {
		return fmt.Errorf("sip socket: %w", err)
	}
	tcp, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(e.addr))
	if err != nil {
		return fmt.Errorf("sip socket: %w", err)
	}
	e.sockets = []io.Closer{udp, tcp}
	go func() { _ = server.ServeUDP(udp) }()
	go func() { _ = server.ServeTCP(tcp) }()
	return nil
}

// close waits for what is still being said, as long as the context allows, and closes the sockets.
func (e *endpoint) close(ctx context.Context) {
	said := make(chan struct{})
	go func() {
		e.background.Wait()
		close(said)
	}()
	select {
	case <-said:
	case <-ctx.Done():
	}
	_ = e.ua.Close()
	for _, socket := range e.sockets {
		_ = socket.Close()
	}
}

// contact is where the other side reaches us within a dialog.
func (e *endpoint) contact(user, transport string) *sip.ContactHeader {
	uri := sip.Uri{Scheme: "sip", User: user, Host: e.addr.Addr().String(), Port: int(e.addr.Port())}
	if transport != "" && transport != "UDP" {
		uri.UriParams.Add("transport", sip.ASCIIToLower(transport))
	}
	return &sip.ContactHeader{Address: uri}
}

// reply answers a request, with what every answer of ours says about us.
func (e *endpoint) reply(req *sip.Request, tx sip.ServerTransaction, code int, reason string) {
	res := sip.NewResponseFromRequest(req, code, reason, nil)
	e.sign(res)
	if err := tx.Respond(res); err != nil {
		e.log.Debug("sip answer not sent", "method", req.Method, "code", code, "error", err)
	}
}

func (e *endpoint) sign(res *sip.Response) {
	res.AppendHeader(sip.NewHeader("User-Agent", userAgent))
	res.AppendHeader(sip.NewHeader("Allow", allowed))
}

// transact sends a request that is complete but for its Via.
func (e *endpoint) transact(ctx context.Context, req *sip.Request) (sip.ClientTransaction, error) {
	e.bind(req)
	if req.Via() == nil {
		return e.client.TransactionRequest(ctx, req, sipgo.ClientRequestAddVia)
	}
	return e.client.TransactionRequest(ctx, req, asItIs)
}

// write sends a request that has no transaction: the ACK of a 2xx.
func (e *endpoint) write(req *sip.Request) error {
	e.bind(req)
	return e.client.WriteRequest(req, sipgo.ClientRequestAddVia)
}

// bind makes a request leave from the port we listen on, where UDP allows it.
func (e *endpoint) bind(req *sip.Request) {
	if req.Body() == nil {
		req.SetBody(nil)
	}
	if req.Transport() == "UDP" {
		req.Laddr = sip.Addr{IP: e.addr.Addr().AsSlice(), Port: int(e.addr.Port())}
	}
}

func asItIs(*sipgo.Client, *sip.Request) error { return nil }

// --- requests within a dialog ---

func dialogKey(callID, ourTag string) string { return callID + "\x00" + ourTag }

func (e *endpoint) register(d *dialog) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.dialogs[dialogKey(d.callID, d.localTag())] = d
}

func (e *endpoint) forget(d *dialog) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.dialogs, dialogKey(d.callID, d.localTag()))
}

// dialogOf finds the dialog that a request of the other side belongs to.
func (e *endpoint) dialogOf(req *sip.Request) *dialog {
	to, callID := req.To(), req.CallID()
	if to == nil || callID == nil {
		return nil
	}
	tag, _ := to.Params.Get("tag")
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.dialogs[dialogKey(callID.Value(), tag)]
}

func (e *endpoint) invited(req *sip.Request, tx sip.ServerTransaction) {
	if to := req.To(); to != nil && to.Params.Has("tag") {
		e.inDialog(req, tx)
		return
	}
	e.onInvite(req, tx)
}

func (e *endpoint) inDialog(req *sip.Request, tx sip.ServerTransaction) {
	d := e.dialogOf(req)
	if d == nil {
		if !req.IsAck() {
			e.reply(req, tx, 481, "Call/Transaction Does Not Exist")
		}
		return
	}
	d.receive(req, tx)
}
