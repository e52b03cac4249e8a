package main

// transfer.go answers: how is a phone handed over to another number? By REFER: the phone, or its carrier, calls the new
// number by itself and reports in NOTIFYs how that goes. Once it is through, our call has served its purpose.

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
	"github.com/livekit/psrpc"
)

const (
	defaultTransfer = 80 * time.Second
	// transferGrace is how long the call outlives a transfer that went well: the phone may want to end it itself.
	transferGrace = time.Second
)

// TransferSIPParticipant hands a call over. It returns when the new number has answered, or the transfer has failed.
func (g *gateway) TransferSIPParticipant(ctx context.Context, req *rpc.InternalTransferSIPParticipantRequest) (*rpc.InternalTransferSIPParticipantResponse, error) {
	req.Upgrade()
	g.mu.Lock()
	c := g.calls[req.SipCallId]
	g.mu.Unlock()
	if c == nil || c.dialog == nil {
		return nil, psrpc.NewErrorf(psrpc.NotFound, "unknown call")
	}
	ctx, cancel := context.WithTimeout(ctx, positive(req.RingingTimeout, defaultTransfer))
	defer cancel()
	if req.Dialtone != livekit.SIPDialtone_SIP_DIALTONE_DISABLED {
		tone := &ringback{}
		c.media.add(tone)
		defer c.media.remove(tone)
	}
	if err := c.transfer(ctx, req); err != nil {
		c.log.Info("transfer failed", "to", req.TransferTo, "error", err)
		return nil, err
	}
	c.log.Info("transferred", "to", req.TransferTo)
	time.AfterFunc(transferGrace, func() { c.end(endedByTransfer) })
	return &rpc.InternalTransferSIPParticipantResponse{}, nil
}

func (c *call) transfer(ctx context.Context, req *rpc.InternalTransferSIPParticipantRequest) error {
	if !c.transferring.TryLock() {
		return psrpc.NewErrorf(psrpc.FailedPrecondition, "a transfer is under way already")
	}
	defer c.transferring.Unlock()
	for len(c.reports) > 0 {
		<-c.reports // of an earlier transfer
	}
	headers := []sip.Header{sip.NewHeader("Refer-To", req.TransferTo)}
	for name, value := range req.Headers {
		headers = append(headers, sip.NewHeader(name, value))
	}
	headers = append(headers, attributeHeaders(c.room.current(), c.attributesToHeaders)...)
	res, err := c.dialog.request(ctx, sip.REFER, headers...)
	if err != nil {
		return transferError(err)
	}
	if !res.IsSuccess() {
		return statusError("call transfer failed", res.StatusCode, res.Reason)
	}
	for {
		select {
		case report := <-c.reports:
			code, reason, err := readReport(report.Body())
			switch {
			case err != nil:
				c.log.Warn("transfer report", "error", err)
			case code >= 300:
				return statusError("call transfer failed", code, reason)
			case code >= 200:
				return nil
			}
		case <-c.ctx.Done():
			if c.cause() == endedByPhone {
				return nil // it hung up on us before it reported: blind transfers may end so
			}
			return psrpc.NewErrorf(psrpc.Canceled, "call ended while it was transferred")
		case <-ctx.Done():
			return transferError(ctx.Err())
		}
	}
}

func transferError(err error) error {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return psrpc.NewErrorf(psrpc.DeadlineExceeded, "call transfer timed out")
	}
	return psrpc.NewError(psrpc.Unavailable, fmt.Errorf("call transfer failed: %w", err))
}

// readReport reads the status line that a NOTIFY carries (RFC 3515, message/sipfrag).
func readReport(body []byte) (code int, reason string, err error) {
	line, _, _ := strings.Cut(string(body), "\n")
	version, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	number, reason, _ := strings.Cut(rest, " ")
	code, err = strconv.Atoi(number)
	if err != nil || version != "SIP/2.0" {
		return 0, "", fmt.Errorf("no status line: %q", line)
	}
	return code, reason, nil
}
