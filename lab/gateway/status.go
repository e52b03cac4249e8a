package main

// status.go answers: what does a call that failed look like to the API's caller, and to the others in the room?

import (
	"fmt"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
	"google.golang.org/grpc/codes"
)

// errTimedOut is how every end before an answer that the phone did not decide looks: nobody answered in time,
// the room went away, or the carrier said nothing at all.
var errTimedOut = psrpc.NewErrorf(psrpc.Canceled, "sip request timed out")

// errOverloaded refuses a call for want of capacity.
var errOverloaded = psrpc.NewErrorf(psrpc.Unavailable, "cpu exhausted")

// statusText keeps the two wordings that LiveKit's service uses for a refused INVITE.
func statusText(code int) string {
	switch code {
	case 400, 404, 480, 486, 488:
		return "INVITE failed"
	}
	return "unexpected status from INVITE response"
}

// statusError is the error of a call that the phone, or the carrier for it, refused. The SIP status travels in the
// error's details, from where the API copies it to the metadata of its own error.
func statusError(text string, code int, reason string) error {
	status := &livekit.SIPStatus{Code: livekit.SIPStatusCode(code), Status: reason}
	return psrpc.NewError(errorCode(status), fmt.Errorf("%s: %w", text, status), status)
}

func errorCode(status *livekit.SIPStatus) psrpc.ErrorCode {
	switch status.Code {
	case livekit.SIPStatusCode_SIP_STATUS_BUSY_HERE, livekit.SIPStatusCode_SIP_STATUS_TEMPORARILY_UNAVAILABLE:
		// Newer releases of LiveKit's protocol say "failed precondition" here; the service that is in use does not yet.
		return psrpc.ResourceExhausted
	}
	grpc := status.GRPCStatus().Code()
	if grpc == codes.OK {
		grpc = codes.Unknown
	}
	return psrpc.ErrorCodeFromGRPC(grpc)
}

// leaveReason is the reason a participant leaves its room with after the phone refused the call.
func leaveReason(code int) livekit.DisconnectReason {
	switch code {
	case 486, 600, 603, 607, 608:
		return livekit.DisconnectReason_USER_REJECTED
	case 404, 408, 410, 480, 487, 604:
		return livekit.DisconnectReason_USER_UNAVAILABLE
	}
	return livekit.DisconnectReason_CLIENT_INITIATED
}
