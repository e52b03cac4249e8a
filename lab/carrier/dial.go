package main

// How does a phone call a DID? The same phones, this time as callers.

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"
	"github.com/google/uuid"
)

// Dial places a call through the gateway and returns as soon as it has an id.
func (t *Trunk) Dial(from, to string, phone *Phone) (*Call, error) {
	if from == "" {
		from = "anonymous"
	}
	call, err := t.ledger.Open(uuid.NewString(), "inbound", from, to)
	if err != nil {
		return nil, err
	}
	call.phone = phone
	go func() {
		defer call.close()
		if err := t.place(call); err != nil {
			slog.Warn("call failed", "call", call.id, "error", err)
		}
	}()
	return call, nil
}

func (t *Trunk) place(call *Call) error {
	if err := call.openLine(t.host); err != nil {
		return err
	}
	body, err := offer(call.line.Address(), call.phone.Codecs)
	if err != nil {
		return err
	}
	dialog, err := t.dialogs.WriteInvite(call.hungUp, t.invite(call, body))
	if err != nil {
		call.Rejected(503)
		return err
	}
	call.attach(dialog)
	defer dialog.Close()
	if answered := awaitAnswer(call, dialog); !answered {
		return nil
	}
	agreement, err := agree(dialog.InviteResponse.Body(), call.phone.Codecs)
	if err != nil {
		call.Rejected(488)
		return errors.Join(err, dialog.Ack(context.Background()), dialog.Bye(context.Background()))
	}
	call.mu.Lock()
	call.answer, err = agreement.answer(call.line.Address())
	call.mu.Unlock()
	if err != nil {
		return err
	}
	if err := dialog.Ack(context.Background()); err != nil {
		return err
	}
	if err := call.Answered(agreement.Codec); err != nil {
		return err
	}
	call.line.Start(agreement)
	call.conduct("callee")
	return nil
}

func (t *Trunk) invite(call *Call, body []byte) *sip.Request {
	recipient := t.gateway
	recipient.User = call.to
	request := sip.NewRequest(sip.INVITE, recipient)
	from := &sip.FromHeader{Address: sip.Uri{Scheme: "sip", User: call.from, Host: t.host}}
	if call.from == "anonymous" {
		from.DisplayName, from.Address.Host = "Anonymous", "anonymous.invalid"
	}
	from.Params.Add("tag", sip.GenerateTagN(16))
	id := sip.CallIDHeader(call.id)
	request.AppendHeader(from)
	request.AppendHeader(&id)
	request.AppendHeader(sip.NewHeader("Content-Type", "application/sdp"))
	request.SetBody(body)
	return request
}

// awaitAnswer tells whether the call was answered; otherwise it has noted why not.
func awaitAnswer(call *Call, dialog *sipgo.DialogClientSession) bool {
	const enough = 11 // WaitAnswer gives up after as many responses, but a gateway may ring each second
	heard, rang := atomic.Bool{}, false
	ctx, giveUp := context.WithCancelCause(context.Background())
	defer giveUp(nil)
	patience, cancel := context.WithTimeout(call.hungUp, milliseconds(call.phone.PatienceMs))
	defer cancel()
	defer context.AfterFunc(patience, func() {
		if heard.Load() {
			giveUp(nil) // sends CANCEL
		} else {
			giveUp(sipgo.WaitAnswerForceCancelErr) // nobody is there to take one
		}
	})()
	for {
		responses := 0
		err := dialog.WaitAnswer(ctx, sipgo.AnswerOptions{OnResponse: func(response *sip.Response) error {
			responses++
			heard.Store(true)
			if !rang && response.StatusCode > 100 && response.StatusCode < 200 {
				rang = true
				call.Ringing()
			}
			return nil
		}})
		var refused *sipgo.ErrDialogResponse
		switch {
		case err == nil:
			return true
		case errors.As(err, &refused):
			call.Rejected(refused.Res.StatusCode)
		case ctx.Err() != nil:
			call.Cancelled()
		case responses == enough:
			continue
		default:
			slog.Warn("no answer", "call", call.id, "error", err)
			call.Rejected(408)
		}
		return false
	}
}
