package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

func TestATransfersReportIsReadFromItsFirstLine(t *testing.T) {
	cases := []struct {
		body   string
		code   int
		reason string
	}{
		{"SIP/2.0 200 OK\r\n", 200, "OK"}, {"SIP/2.0 180 Ringing", 180, "Ringing"},
		{"SIP/2.0 486 Busy Here\r\nTo: <sip:x>\r\n", 486, "Busy Here"}, {"SIP/2.0 603", 603, ""},
	}
	for _, c := range cases {
		code, reason, err := readReport([]byte(c.body))
		if err != nil || code != c.code || reason != c.reason {
			t.Errorf("%q: %d %q %v", c.body, code, reason, err)
		}
	}
	for _, body := range []string{"", "hello", "HTTP/1.1 200 OK"} {
		if _, _, err := readReport([]byte(body)); err == nil {
			t.Errorf("%q is no report", body)
		}
	}
}

func TestOnlyTheRightPasswordIsLetIn(t *testing.T) {
	n := newNonces()
	request := func(nonce, username, password string) *sip.Request {
		req := sip.NewRequest(sip.INVITE, sip.Uri{Scheme: "sip", User: "+15550177777", Host: "127.0.0.1"})
		answer, err := digest.Digest(&digest.Challenge{Realm: userAgent, Nonce: nonce, Algorithm: "MD5"}, digest.Options{
			Method: "INVITE", URI: "sip:+15550177777@127.0.0.1", Username: username, Password: password,
		})
		if err != nil {
			t.Fatal(err)
		}
		req.AppendHeader(sip.NewHeader("Proxy-Authorization", answer.String()))
		return req
	}
	cases := []struct {
		name string
		req  *sip.Request
		want bool
	}{
		{"right", request(n.fresh(), "user", "secret"), true},
		{"wrong password", request(n.fresh(), "user", "guess"), false},
		{"wrong user", request(n.fresh(), "other", "secret"), false},
		{"nonce that is not ours", request("made up", "user", "secret"), false},
		{"nonce of two minutes ago", request(n.at(time.Now().Add(-2*nonceLife)), "user", "secret"), false},
		{"no answer", sip.NewRequest(sip.INVITE, sip.Uri{Host: "127.0.0.1"}), false},
	}
	for _, c := range cases {
		if got := n.authorized(c.req, "user", "secret"); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestOnlyTheFirstEndOfADialogCounts(t *testing.T) {
	d := &dialog{}
	if fmt.Sprint(d.end(), d.end()) != "true false" {
		t.Error("a dialog ended twice")
	}
}
