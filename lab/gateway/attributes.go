package main

// attributes.go answers: which participant attributes tell the room about the phone call?

import (
	"maps"
	"strings"

	"github.com/emiago/sipgo/sip"
	"github.com/livekit/protocol/livekit"
)

// Values of the attribute sip.callStatus.
const (
	statusDialing = "dialing"
	statusRinging = "ringing"
	statusActive  = "active"
	statusHangup  = "hangup"
)

// Attributes that name the SIP dialog; LiveKit's protocol has no constants for these two.
const (
	attrCallTag    = livekit.AttrSIPPrefix + "callTag"
	attrCallIDFull = livekit.AttrSIPPrefix + "callIDFull"
)

// joinAttributes are those a participant has from its first moment in the room.
func joinAttributes(given map[string]string, status string) map[string]string {
	attributes := maps.Clone(given)
	if attributes == nil {
		attributes = map[string]string{}
	}
	attributes[livekit.AttrSIPCallStatus] = status
	return attributes
}

// dialogAttributes name the SIP dialog of the call.
func dialogAttributes(callID, remoteTag string) map[string]string {
	return map[string]string{attrCallIDFull: callID, attrCallTag: remoteTag}
}

// headerAttributes are the attributes that a message's headers turn into: those named in the mapping, and as many of
// the rest as the option asks for, as sip.h.<header in lower case>.
func headerAttributes(headers []sip.Header, mapping map[string]string, include livekit.SIPHeaderOptions) map[string]string {
	attributes := map[string]string{}
	for _, header := range headers {
		name := strings.ToLower(header.Name())
		custom := strings.HasPrefix(name, "x-")
		if include == livekit.SIPHeaderOptions_SIP_ALL_HEADERS || (include == livekit.SIPHeaderOptions_SIP_X_HEADERS && custom) {
			attributes[livekit.AttrSIPHeaderPrefix+name] = header.Value()
		}
		for wanted, attribute := range mapping {
			if strings.EqualFold(wanted, name) {
				attributes[attribute] = header.Value()
			}
		}
	}
	return attributes
}

// attributeHeaders are the headers that attributes turn into when a request ends or moves the call.
func attributeHeaders(attributes, mapping map[string]string) []sip.Header {
	var headers []sip.Header
	for attribute, header := range mapping {
		if value, ok := attributes[attribute]; ok && value != "" {
			headers = append(headers, sip.NewHeader(header, value))
		}
	}
	return headers
}
