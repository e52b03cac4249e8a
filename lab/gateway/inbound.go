package main

import "github.com/emiago/sipgo/sip"

func (g *gateway) invited(req *sip.Request, tx sip.ServerTransaction) {
	g.endpoint.reply(req, tx, 480, "Temporarily Unavailable")
}
