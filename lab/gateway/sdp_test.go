package main

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
)

var local = netip.MustParseAddrPort("127.0.0.1:4000")

const head = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 192.0.2.7\r\nt=0 0\r\n"

func TestTheOfferNamesEveryCodecBestFirst(t *testing.T) {
	body, err := offerSDP(local)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"m=audio 4000 RTP/AVP 9 0 8 101\r\n", "a=rtpmap:9 G722/8000\r\n", "a=rtpmap:101 telephone-event/8000\r\n",
		"a=fmtp:101 0-16\r\n", "a=ptime:20\r\n", "a=sendrecv\r\n", "c=IN IP4 127.0.0.1\r\n",
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("offer lacks %q:\n%s", want, body)
		}
	}
}

func TestAnOfferIsAnsweredWithTheBestCommonCodec(t *testing.T) {
	cases := []struct{ name, media, want string }{
		{"all three", "m=audio 5000 RTP/AVP 0 8 9 101\r\na=rtpmap:101 telephone-event/8000\r\n", "RTP/AVP 9 101\r\n"},
		{"both laws", "m=audio 5000 RTP/AVP 8 0\r\n", "RTP/AVP 0\r\n"},
		{"A-law only", "m=audio 5000 RTP/AVP 8 96\r\na=rtpmap:96 telephone-event/8000\r\n", "RTP/AVP 8 96\r\n"},
		{"a dynamic number", "m=audio 5000 RTP/AVP 111 98\r\na=rtpmap:111 opus/48000/2\r\na=rtpmap:98 PCMA/8000\r\n", "RTP/AVP 98\r\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			offer, err := readSDP([]byte(head + c.media))
			if err != nil {
				t.Fatal(err)
			}
			body, err := answerSDP(local, offer.choose())
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(body), c.want) {
				t.Errorf("answer lacks %q:\n%s", c.want, body)
			}
		})
	}
}

func TestAnAnswerIsTakenAsItStands(t *testing.T) {
	answer, err := readSDP([]byte(head + "m=audio 5000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	agreed := answer.accept()
	if agreed.codec.name != "PCMA" || agreed.events != 101 || agreed.remote != netip.MustParseAddrPort("192.0.2.7:5000") {
		t.Errorf("agreed on %+v", agreed)
	}
}

func TestWhatCannotBeAgreedOnIsAnError(t *testing.T) {
	if _, err := readSDP([]byte(head + "m=audio 5000 RTP/AVP 18\r\n")); !errors.Is(err, errNoCommonCodec) {
		t.Errorf("only G.729 offered: %v", err)
	}
	for name, body := range map[string]string{
		"nothing": "", "no audio": head, "audio refused": head + "m=audio 0 RTP/AVP 0\r\n", "noise": "hello",
		"no address": "v=0\r\no=- 1 1 IN IP4 x\r\ns=-\r\nt=0 0\r\nm=audio 5000 RTP/AVP 0\r\n",
	} {
		if _, err := readSDP([]byte(body)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAHeldCallIsNotListenedTo(t *testing.T) {
	cases := map[string]bool{
		"a=sendrecv\r\n": true, "a=recvonly\r\n": true, "": true, "a=sendonly\r\n": false, "a=inactive\r\n": false,
		"c=IN IP4 0.0.0.0\r\n": false,
	}
	for line, want := range cases {
		offer, err := readSDP([]byte(head + "m=audio 5000 RTP/AVP 0\r\n" + line))
		if err != nil {
			t.Fatal(err)
		}
		if offer.choose().listens != want {
			t.Errorf("%q: listens is %v", line, !want)
		}
	}
}
