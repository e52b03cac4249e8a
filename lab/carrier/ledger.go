package main

// What was really dialled, and what became of it? The ledger is the lab's independent witness: each happening is a line in a file
// before anything is answered on the wire, so that it holds even if everybody else crashes.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// An Event is one line of invites.jsonl.
type Event struct {
	Event     string  `json:"event"`
	Time      float64 `json:"time"`
	SIPCallID string  `json:"sip_call_id"`
	Direction string  `json:"direction"`
	From      string  `json:"from"`
	To        string  `json:"to"`
	Status    int     `json:"status,omitempty"`
	By        string  `json:"by,omitempty"`
	ReferTo   string  `json:"refer_to,omitempty"`
}

// A Ledger holds all calls of this run, and appends their events to its file.
type Ledger struct {
	recordings string

	mu     sync.Mutex
	file   *os.File
	calls  []*Call
	byID   map[string]*Call
	events []Event
	grown  chan struct{} // closed and replaced at each event
}

func openLedger(folder string) (*Ledger, error) {
	recordings, err := filepath.Abs(filepath.Join(folder, "recordings"))
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(recordings, 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(filepath.Join(folder, "invites.jsonl"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	return &Ledger{recordings: recordings, file: file, byID: map[string]*Call{}, grown: make(chan struct{})}, nil
}

// Open notes a new call: the `invite` line is in the file when it returns.
func (l *Ledger) Open(id, direction, from, to string) (*Call, error) {
	now := time.Now()
	call := newCall(l, id, direction, from, to, now)
	l.mu.Lock()
	l.calls = append(l.calls, call)
	l.byID[id] = call
	l.mu.Unlock()
	return call, l.append(call, Event{Event: "invite"}, now)
}

func (l *Ledger) append(call *Call, event Event, at time.Time) error {
	event.Time, event.SIPCallID, event.Direction, event.From, event.To = unix(at), call.id, call.direction, call.from, call.to
	line, err := json.Marshal(event)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, event)
	close(l.grown)
	l.grown = make(chan struct{})
	if _, err := l.file.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("invites.jsonl: %w", err)
	}
	return nil
}

// Find answers the call with a SIP Call-ID, or nil.
func (l *Ledger) Find(id string) *Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.byID[id]
}

// Calls lists all calls in the order of their INVITEs.
func (l *Ledger) Calls() []*Call {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]*Call{}, l.calls...)
}

// Events lists the events from the given one on, and a channel that closes when there are more.
func (l *Ledger) Events(from int) ([]Event, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Event{}, l.events[min(max(from, 0), len(l.events)):]...), l.grown
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
