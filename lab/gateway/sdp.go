package main

// sdp.go answers: which audio do the two ends of a call agree on? It writes our offer, reads the other side's
// description and answers one (RFC 3264), for the three codecs of the telephone network and RFC 4733 events.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

var errNoCommonCodec = errors.New("no common audio codec")

const eventName = "telephone-event"

// noEvents stands for "the other side takes no telephone-events". Payload types are 7 bits wide.
const noEvents = uint8(0xff)

// agreedAudio is the outcome of a negotiation: what we send, and where to.
type agreedAudio struct {
	remote  netip.AddrPort
	codec   codec
	payload uint8 // payload type of the codec, as the other side numbers it
	events  uint8 // payload type of telephone-events, or noEvents
	listens bool  // false while the other side holds the call
}

// remoteAudio is what the other side's description says.
type remoteAudio struct {
	addr    netip.AddrPort
	codecs  []numberedCodec // in its order of preference
	events  uint8
	listens bool
}

type numberedCodec struct {
	codec
	payload uint8
}

// offerSDP offers every codec we have at the given RTP address.
func offerSDP(local netip.AddrPort) ([]byte, error) {
	offered := make([]numberedCodec, len(codecs))
	for i, c := range codecs {
		offered[i] = numberedCodec{codec: c, payload: c.payload}
	}
	return describe(local, offered, eventPayload, rand.Uint64()>>1)
}

// answerSDP accepts what was agreed on an offer.
func answerSDP(local netip.AddrPort, agreed agreedAudio) ([]byte, error) {
	return describe(local, []numberedCodec{{agreed.codec, agreed.payload}}, agreed.events, rand.Uint64()>>1)
}

func describe(local netip.AddrPort, offered []numberedCodec, events uint8, session uint64) ([]byte, error) {
	media := &sdp.MediaDescription{
		MediaName: sdp.MediaName{
			Media: "audio", Port: sdp.RangedPort{Value: int(local.Port())}, Protos: []string{"RTP", "AVP"},
		},
	}
	add := func(payload uint8, rtpmap string) {
		media.MediaName.Formats = append(media.MediaName.Formats, strconv.Itoa(int(payload)))
		media.WithValueAttribute("rtpmap", fmt.Sprintf("%d %s", payload, rtpmap))
	}
	for _, c := range offered {
		add(c.payload, c.name+"/8000")
	}
	if events != noEvents {
		add(events, eventName+"/8000")
		media.WithValueAttribute("fmtp", fmt.Sprintf("%d 0-16", events))
	}
	media.WithValueAttribute("ptime", "20").WithPropertyAttribute("sendrecv")
	ip := local.Addr().String()
	kind := "IP4"
	if local.Addr().Is6() {
		kind = "IP6"
	}
	return (&sdp.SessionDescription{
		Origin: sdp.Origin{
			Username: "-", SessionID: session, SessionVersion: session,
			NetworkType: "IN", AddressType: kind, UnicastAddress: ip,
		},
		SessionName: "LiveKit",
		ConnectionInformation: &sdp.ConnectionInformation{
			NetworkType: "IN", AddressType: kind, Address: &sdp.Address{Address: ip},
		},
		TimeDescriptions:  []sdp.TimeDescription{{}},
		MediaDescriptions: []*sdp.MediaDescription{media},
	}).Marshal()
}

// readSDP reads the audio part of a description.
func readSDP(body []byte) (remoteAudio, error) {
	var session sdp.SessionDescription
	if err := session.Unmarshal(body); err != nil {
		return remoteAudio{}, fmt.Errorf("sdp: %w", err)
	}
	for _, media := range session.MediaDescriptions {
		if media.MediaName.Media == "audio" && media.MediaName.Port.Value != 0 {
			return readAudio(&session, media)
		}
	}
	return remoteAudio{}, errors.New("sdp: no audio")
}

func readAudio(session *sdp.SessionDescription, media *sdp.MediaDescription) (remoteAudio, error) {
	audio := remoteAudio{events: noEvents, listens: true}
	host := session.Origin.UnicastAddress
	for _, c := range []*sdp.ConnectionInformation{session.ConnectionInformation, media.ConnectionInformation} {
		if c != nil && c.Address != nil {
			host = c.Address.Address
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return audio, fmt.Errorf("sdp: address: %w", err)
	}
	audio.addr = netip.AddrPortFrom(addr, uint16(media.MediaName.Port.Value))
	// 0.0.0.0 is how RFC 2543 put a call on hold.
	audio.listens = !addr.IsUnspecified()
	for _, attributes := range [][]sdp.Attribute{session.Attributes, media.Attributes} {
		for _, a := range attributes {
			switch a.Key {
			case "sendrecv", "recvonly":
				audio.listens = !addr.IsUnspecified()
			case "sendonly", "inactive":
				audio.listens = false
			}
		}
	}
	names := map[string]string{"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000"}
	for _, a := range media.Attributes {
		if a.Key == "rtpmap" {
			if payload, name, ok := strings.Cut(a.Value, " "); ok {
				names[payload] = strings.TrimSuffix(strings.TrimSpace(name), "/1")
			}
		}
	}
	for _, format := range media.MediaName.Formats {
		payload, err := strconv.ParseUint(format, 10, 7)
		if err != nil {
			continue
		}
		name, clock, _ := strings.Cut(names[format], "/")
		if clock != "8000" {
			continue
		}
		if strings.EqualFold(name, eventName) {
			audio.events = uint8(payload)
		} else if c, ok := codecNamed(name); ok {
			audio.codecs = append(audio.codecs, numberedCodec{c, uint8(payload)})
		}
	}
	if len(audio.codecs) == 0 {
		return audio, errNoCommonCodec
	}
	return audio, nil
}

// accept takes the other side's first choice: it has answered our offer.
func (a remoteAudio) accept() agreedAudio {
	return a.agree(a.codecs[0])
}

// choose takes our own favourite of what the other side offered.
func (a remoteAudio) choose() agreedAudio {
	for _, favourite := range codecs {
		for _, c := range a.codecs {
			if c.codec == favourite {
				return a.agree(c)
			}
		}
	}
	return a.accept()
}

func (a remoteAudio) agree(c numberedCodec) agreedAudio {
	return agreedAudio{remote: a.addr, codec: c.codec, payload: c.payload, events: a.events, listens: a.listens}
}
