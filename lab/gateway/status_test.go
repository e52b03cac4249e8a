package main

import (
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/psrpc"
)

func TestARefusalHasTheCodeAndWordsOfLiveKitsService(t *testing.T) {
	cases := []struct {
		status  int
		reason  string
		code    psrpc.ErrorCode
		message string
	}{
		{486, "Busy Here", psrpc.ResourceExhausted, "INVITE failed: sip status: 486: Busy Here"},
		{480, "Temporarily Unavailable", psrpc.ResourceExhausted, "INVITE failed: sip status: 480: Temporarily Unavailable"},
		{404, "Not Found", psrpc.NotFound, "INVITE failed: sip status: 404: Not Found"},
		{488, "Not Acceptable Here", psrpc.InvalidArgument, "INVITE failed: sip status: 488: Not Acceptable Here"},
		{484, "Address Incomplete", psrpc.InvalidArgument, "unexpected status from INVITE response: sip status: 484: Address Incomplete"},
		{403, "Forbidden", psrpc.PermissionDenied, "unexpected status from INVITE response: sip status: 403: Forbidden"},
		{603, "Decline", psrpc.PermissionDenied, "unexpected status from INVITE response: sip status: 603: Decline"},
		{408, "Request Timeout", psrpc.DeadlineExceeded, "unexpected status from INVITE response: sip status: 408: Request Timeout"},
		{500, "Server Error", psrpc.FailedPrecondition, "unexpected status from INVITE response: sip status: 500: Server Error"},
		{503, "Service Unavailable", psrpc.FailedPrecondition, "unexpected status from INVITE response: sip status: 503: Service Unavailable"},
		{600, "Busy Everywhere", psrpc.ResourceExhausted, "unexpected status from INVITE response: sip status: 600: Busy Everywhere"},
	}
	for _, c := range cases {
		err, ok := statusError(statusText(c.status), c.status, c.reason).(psrpc.Error)
		if !ok {
			t.Fatalf("%d: not a psrpc error", c.status)
		}
		if err.Code() != c.code || err.Error() != c.message {
			t.Errorf("%d: %s %q", c.status, err.Code(), err.Error())
		}
		details := err.Details()
		if len(details) != 1 {
			t.Fatalf("%d: %d details", c.status, len(details))
		}
		status, ok := details[0].(*livekit.SIPStatus)
		if !ok || int(status.Code) != c.status || status.Status != c.reason {
			t.Errorf("%d: details %v", c.status, details[0])
		}
	}
}

func TestEveryStatusThatIsNoSuccessIsAnError(t *testing.T) {
	for status := 100; status < 700; status++ {
		err, ok := statusError(statusText(status), status, "").(psrpc.Error)
		if !ok || err.Code() == psrpc.OK {
			t.Errorf("%d is no error", status)
		}
	}
}

func TestTheRoomLearnsWhetherThePhoneRefusedOrWasNotThere(t *testing.T) {
	cases := map[int]livekit.DisconnectReason{
		486: livekit.DisconnectReason_USER_REJECTED, 603: livekit.DisconnectReason_USER_REJECTED,
		404: livekit.DisconnectReason_USER_UNAVAILABLE, 480: livekit.DisconnectReason_USER_UNAVAILABLE,
		503: livekit.DisconnectReason_CLIENT_INITIATED, 500: livekit.DisconnectReason_CLIENT_INITIATED,
	}
	for status, want := range cases {
		if got := leaveReason(status); got != want {
			t.Errorf("%d: %s", status, got)
		}
	}
}
