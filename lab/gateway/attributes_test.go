package main

import (
	"maps"
	"testing"

	"github.com/emiago/sipgo/sip"
	"github.com/livekit/protocol/livekit"
)

var headers = []sip.Header{
	sip.NewHeader("X-Campaign", "spring"), sip.NewHeader("x-customer", "7"), sip.NewHeader("Server", "pbx"),
}

func TestTheParticipantsOwnAttributesAreKept(t *testing.T) {
	given := map[string]string{"colour": "blue"}
	got := joinAttributes(given, statusDialing)
	if !maps.Equal(got, map[string]string{"colour": "blue", "sip.callStatus": "dialing"}) {
		t.Errorf("got %v", got)
	}
	if len(given) != 1 {
		t.Error("the request was changed")
	}
	if got := joinAttributes(nil, statusRinging); got["sip.callStatus"] != "ringing" {
		t.Errorf("without attributes: %v", got)
	}
}

func TestHeadersBecomeAttributesAsFarAsIsAskedFor(t *testing.T) {
	cases := []struct {
		name    string
		mapping map[string]string
		include livekit.SIPHeaderOptions
		want    map[string]string
	}{
		{"nothing", nil, livekit.SIPHeaderOptions_SIP_NO_HEADERS, map[string]string{}},
		{"one by name", map[string]string{"X-Customer": "customer"}, livekit.SIPHeaderOptions_SIP_NO_HEADERS, map[string]string{"customer": "7"}},
		{"custom ones", nil, livekit.SIPHeaderOptions_SIP_X_HEADERS, map[string]string{"sip.h.x-campaign": "spring", "sip.h.x-customer": "7"}},
		{"all", nil, livekit.SIPHeaderOptions_SIP_ALL_HEADERS, map[string]string{
			"sip.h.x-campaign": "spring", "sip.h.x-customer": "7", "sip.h.server": "pbx",
		}},
	}
	for _, c := range cases {
		if got := headerAttributes(headers, c.mapping, c.include); !maps.Equal(got, c.want) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestAttributesBecomeHeadersUnlessTheyAreEmpty(t *testing.T) {
	got := attributeHeaders(map[string]string{"outcome": "sold", "note": ""}, map[string]string{"outcome": "X-Outcome", "note": "X-Note", "other": "X-Other"})
	if len(got) != 1 || got[0].Name() != "X-Outcome" || got[0].Value() != "sold" {
		t.Errorf("got %v", got)
	}
}
