package main

// Which codec and which address do the two sides agree on? Offer and answer (RFC 3264) for one audio stream.

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

var errNoCommonCodec = errors.New("no codec in common")

// An Agreement is what a session description settles: where to send, in which codec, and how keys are sent (0: not at all).
type Agreement struct {
	Remote      *net.UDPAddr
	Codec       string
	PayloadType uint8
	DTMFType    uint8
}

// agree picks from an offer or an answer the first of our codecs that it holds.
func agree(body []byte, codecs []string) (*Agreement, error) {
	var session sdp.SessionDescription
	if err := session.Unmarshal(body); err != nil {
		return nil, fmt.Errorf("session description: %w", err)
	}
	for _, media := range session.MediaDescriptions {
		if media.MediaName.Media != "audio" || strings.Join(media.MediaName.Protos, "/") != "RTP/AVP" || media.MediaName.Port.Value == 0 {
			continue
		}
		connection := media.ConnectionInformation
		if connection == nil {
			connection = session.ConnectionInformation
		}
		if connection == nil || connection.Address == nil {
			return nil, errors.New("session description: no connection address")
		}
		host := strings.Split(connection.Address.Address, "/")[0]
		remote, err := net.ResolveUDPAddr("udp", net.JoinHostPort(host, strconv.Itoa(media.MediaName.Port.Value)))
		if err != nil {
			return nil, fmt.Errorf("session description: %w", err)
		}
		agreement := &Agreement{Remote: remote}
		offered := offeredCodecs(media)
		for _, name := range codecs {
			if payloadType, ok := offered[name]; ok {
				agreement.Codec, agreement.PayloadType = name, payloadType
				agreement.DTMFType = offered["TELEPHONE-EVENT"]
				return agreement, nil
			}
		}
	}
	return nil, errNoCommonCodec
}

// offeredCodecs maps the names of a stream's 8 kHz codecs to its payload types.
func offeredCodecs(media *sdp.MediaDescription) map[string]uint8 {
	offered := map[string]uint8{}
	for _, format := range media.MediaName.Formats {
		for name, static := range staticPayloads {
			if format == strconv.Itoa(int(static)) {
				offered[name] = static
			}
		}
	}
	for _, attribute := range media.Attributes {
		if attribute.Key != "rtpmap" {
			continue
		}
		format, encoding, _ := strings.Cut(attribute.Value, " ")
		name, rate, _ := strings.Cut(encoding, "/")
		payloadType, err := strconv.ParseUint(format, 10, 7)
		if err == nil && strings.Split(rate, "/")[0] == strconv.Itoa(sampleRate) {
			offered[strings.ToUpper(name)] = uint8(payloadType)
		}
	}
	return offered
}

// describe writes our side: all codecs for an offer, the agreed one for an answer.
func describe(local *net.UDPAddr, codecs []string, payloadTypes []uint8, dtmfType uint8) ([]byte, error) {
	formats := []string{}
	attributes := []sdp.Attribute{}
	for i, name := range codecs {
		formats = append(formats, strconv.Itoa(int(payloadTypes[i])))
		attributes = append(attributes, sdp.NewAttribute("rtpmap", fmt.Sprintf("%d %s/%d", payloadTypes[i], name, sampleRate)))
	}
	if dtmfType != 0 {
		formats = append(formats, strconv.Itoa(int(dtmfType)))
		attributes = append(attributes,
			sdp.NewAttribute("rtpmap", fmt.Sprintf("%d telephone-event/%d", dtmfType, sampleRate)),
			sdp.NewAttribute("fmtp", fmt.Sprintf("%d 0-15", dtmfType)))
	}
	attributes = append(attributes, sdp.NewAttribute("ptime", "20"), sdp.NewPropertyAttribute("sendrecv"))
	session := sdp.SessionDescription{
		Origin:                sdp.Origin{Username: "-", SessionID: uint64(local.Port), SessionVersion: 1, NetworkType: "IN", AddressType: "IP4", UnicastAddress: local.IP.String()},
		SessionName:           "call",
		ConnectionInformation: &sdp.ConnectionInformation{NetworkType: "IN", AddressType: "IP4", Address: &sdp.Address{Address: local.IP.String()}},
		TimeDescriptions:      []sdp.TimeDescription{{}},
		MediaDescriptions: []*sdp.MediaDescription{{
			MediaName:  sdp.MediaName{Media: "audio", Port: sdp.RangedPort{Value: local.Port}, Protos: []string{"RTP", "AVP"}, Formats: formats},
			Attributes: attributes,
		}},
	}
	return session.Marshal()
}

// offer describes all codecs of a phone that dials.
func offer(local *net.UDPAddr, codecs []string) ([]byte, error) {
	payloadTypes := make([]uint8, len(codecs))
	for i, name := range codecs {
		payloadTypes[i] = staticPayloads[name]
	}
	return describe(local, codecs, payloadTypes, 101)
}

// answer describes what was agreed on.
func (a *Agreement) answer(local *net.UDPAddr) ([]byte, error) {
	return describe(local, []string{a.Codec}, []uint8{a.PayloadType}, a.DTMFType)
}
