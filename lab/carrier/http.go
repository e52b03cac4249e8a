package main

// How do tests and tools talk to the carrier? A few JSON endpoints beside the SIP side.

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"
)

const (
	maxBody      = 1 << 20
	maxEventWait = 30 * time.Second
)

func routes(trunk *Trunk) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, map[string]bool{"ok": true}) })
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { reply(w, 200, trunk.ledger.Calls()) })
	mux.HandleFunc("GET /events", trunk.getEvents)
	mux.HandleFunc("POST /calls", trunk.postCall)
	mux.HandleFunc("DELETE /calls/{id}", trunk.deleteCall)
	mux.HandleFunc("PUT /phones", trunk.putPhones)
	mux.HandleFunc("PUT /limits", trunk.putLimits)
	return mux
}

func (t *Trunk) postCall(w http.ResponseWriter, r *http.Request) {
	var order struct {
		From  string          `json:"from"`
		To    string          `json:"to"`
		Phone json.RawMessage `json:"phone"`
	}
	if !read(w, r, &order) {
		return
	}
	phone := &Phone{}
	if order.Phone == nil {
		order.Phone = json.RawMessage("{}")
	}
	err := json.Unmarshal(order.Phone, phone)
	if err == nil {
		err = phone.load(t.book.folder)
	}
	if err == nil && order.To == "" {
		err = fmt.Errorf("to is missing: the number to call")
	}
	if err != nil {
		fail(w, 400, err)
		return
	}
	call, err := t.Dial(order.From, order.To, phone)
	if err != nil {
		fail(w, 500, err)
		return
	}
	reply(w, 200, map[string]string{"sip_call_id": call.id})
}

func (t *Trunk) deleteCall(w http.ResponseWriter, r *http.Request) {
	call := t.ledger.Find(r.PathValue("id"))
	if call == nil {
		fail(w, 404, fmt.Errorf("no call %q", r.PathValue("id")))
		return
	}
	call.hangUp()
	select {
	case <-call.ended:
	case <-time.After(byeTimeout):
	case <-r.Context().Done():
	}
	reply(w, 200, call)
}

func (t *Trunk) putPhones(w http.ResponseWriter, r *http.Request) {
	phones := map[string]*Phone{}
	if !read(w, r, &phones) {
		return
	}
	if err := t.book.Put(phones); err != nil {
		fail(w, 400, err)
		return
	}
	reply(w, 200, map[string]int{"phones": len(phones)})
}

func (t *Trunk) putLimits(w http.ResponseWriter, r *http.Request) {
	var limits struct {
		CPS int `json:"cps"`
	}
	if !read(w, r, &limits) {
		return
	}
	t.limit.Set(limits.CPS)
	reply(w, 200, limits)
}

// getEvents answers the ledger's events from number `from` on; with none yet it waits up to `wait_ms` for the next one.
func (t *Trunk) getEvents(w http.ResponseWriter, r *http.Request) {
	from, _ := strconv.Atoi(r.FormValue("from"))
	wait, _ := strconv.Atoi(r.FormValue("wait_ms"))
	deadline := time.NewTimer(min(milliseconds(wait), maxEventWait))
	defer deadline.Stop()
	for {
		events, grown := t.ledger.Events(from)
		if len(events) > 0 {
			reply(w, 200, events)
			return
		}
		select {
		case <-grown:
		case <-deadline.C:
			reply(w, 200, events)
			return
		case <-r.Context().Done():
			return
		}
	}
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err == nil {
		err = strictly(body, into)
	}
	if err != nil {
		fail(w, 400, err)
		return false
	}
	return true
}

func reply(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		slog.Debug("reply not sent", "error", err)
	}
}

func fail(w http.ResponseWriter, status int, err error) {
	reply(w, status, map[string]string{"error": err.Error()})
}
