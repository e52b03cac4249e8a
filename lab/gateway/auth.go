package main

// auth.go answers: does a caller know the trunk's password? Digest authentication (RFC 8760, RFC 2617), asking side.

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/icholy/digest"
)

// nonces makes and recognizes the challenges of digest authentication, without keeping any.
type nonces struct{ secret string }

func newNonces() nonces { return nonces{secret: rand.Text()} }

const nonceLife = time.Minute

func (n nonces) fresh() string { return n.at(time.Now()) }

func (n nonces) at(t time.Time) string {
	return fmt.Sprintf("%x", sha256.Sum256(fmt.Append(nil, n.secret, t.Unix()/int64(nonceLife.Seconds()))))
}

func (n nonces) known(nonce string) bool {
	now := time.Now()
	return nonce == n.at(now) || nonce == n.at(now.Add(-nonceLife))
}

// authorized tells whether the request answers a challenge of ours with the right password.
func (n nonces) authorized(req *sip.Request, username, password string) bool {
	for _, name := range []string{"Proxy-Authorization", "Authorization"} {
		header := req.GetHeader(name)
		if header == nil {
			continue
		}
		given, err := digest.ParseCredentials(header.Value())
		if err != nil || given.Username != username || !n.known(given.Nonce) {
			continue
		}
		challenge := digest.Challenge{Realm: given.Realm, Nonce: given.Nonce, Opaque: given.Opaque, Algorithm: given.Algorithm}
		if given.QOP != "" {
			challenge.QOP = []string{given.QOP}
		}
		right, err := digest.Digest(&challenge, digest.Options{
			Method: req.Method.String(), URI: given.URI, Username: username, Password: password,
			Cnonce: given.Cnonce, Count: given.Nc,
		})
		if err == nil && right.Response == given.Response {
			return true
		}
	}
	return false
}
