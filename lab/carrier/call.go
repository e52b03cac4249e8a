package main

// What is the state of one call? The only place where a call's record changes; each change is an event in the ledger.

import (
	"context"
	"encoding/json"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// byeTimeout is how long a phone that hangs up waits for the other side to agree.
const byeTimeout = 3 * time.Second

// A Dialog is the signalling side of a call, of whichever direction.
type Dialog interface {
	Context() context.Context
	Bye(ctx context.Context) error
	ReadBye(req *sip.Request, tx sip.ServerTransaction) error
	Do(ctx context.Context, req *sip.Request) (*sip.Response, error)
}

// A Record is what the HTTP interface tells about a call.
type Record struct {
	SIPCallID  string   `json:"sip_call_id"`
	Direction  string   `json:"direction"`
	From       string   `json:"from"`
	To         string   `json:"to"`
	State      string   `json:"state"`
	Status     int      `json:"status"`
	InvitedAt  float64  `json:"invited_at"`
	RingingAt  *float64 `json:"ringing_at"`
	AnsweredAt *float64 `json:"answered_at"`
	EndedAt    *float64 `json:"ended_at"`
	EndedBy    string   `json:"ended_by"`
	Codec      string   `json:"codec"`
	DTMF       string   `json:"dtmf"`
	Recording  string   `json:"recording"`
	ReferTo    string   `json:"refer_to"`
	RTP        RTPStats `json:"rtp"`
}

// A Call is one phone call between the gateway and a phone.
type Call struct {
	id, direction, from, to string

	ledger  *Ledger
	invited time.Time
	hungUp  context.Context // done when the phone is told to hang up
	hangUp  context.CancelFunc
	ended   chan struct{}

	mu     sync.Mutex
	record Record
	line   *Line
	dialog Dialog
	answer []byte // our session description, for a repeated INVITE
	phone  *Phone
}

func newCall(ledger *Ledger, id, direction, from, to string, now time.Time) *Call {
	hungUp, hangUp := context.WithCancel(context.Background())
	return &Call{
		id: id, direction: direction, from: from, to: to, ledger: ledger, invited: now, hungUp: hungUp, hangUp: hangUp,
		ended:  make(chan struct{}),
		record: Record{SIPCallID: id, Direction: direction, From: from, To: to, State: "invited", InvitedAt: unix(now)},
	}
}

func (c *Call) note(event Event, change func(*Record, *float64)) time.Time {
	now := time.Now()
	at := unix(now)
	c.mu.Lock()
	change(&c.record, &at)
	c.mu.Unlock()
	if err := c.ledger.append(c, event, now); err != nil {
		slog.Error("the ledger has a gap", "event", event.Event, "call", c.id, "error", err)
	}
	return now
}

// Ringing notes the first provisional response.
func (c *Call) Ringing() {
	c.note(Event{Event: "ringing"}, func(r *Record, at *float64) { r.State, r.RingingAt = "ringing", at })
}

// Rejected notes a final status that is not an answer; the call is over.
func (c *Call) Rejected(status int) {
	c.note(Event{Event: "rejected", Status: status}, func(r *Record, at *float64) { r.State, r.Status, r.EndedAt = "rejected", status, at })
	c.close()
}

// Cancelled notes that the caller gave up before an answer; the call is over.
func (c *Call) Cancelled() {
	c.note(Event{Event: "cancelled"}, func(r *Record, at *float64) { r.State, r.Status, r.EndedAt = "cancelled", 487, at })
	c.close()
}

// Answered notes the 200 and starts the recording's clock.
func (c *Call) Answered(codec string) error {
	answered := c.note(Event{Event: "answered"}, func(r *Record, at *float64) { r.State, r.Status, r.AnsweredAt, r.Codec = "answered", 200, at, codec })
	if !c.phone.Record {
		return nil
	}
	path := filepath.Join(c.ledger.recordings, strings.ReplaceAll(c.id, "/", "_")+".wav")
	recording, err := newRecording(path)
	if err != nil {
		return err
	}
	c.line.Record(recording, answered)
	c.mu.Lock()
	c.record.Recording = path
	c.mu.Unlock()
	return nil
}

// Transferred notes that the other side asked us to go elsewhere.
func (c *Call) Transferred(target string) {
	c.note(Event{Event: "transferred", ReferTo: target}, func(r *Record, _ *float64) { r.ReferTo = target })
}

// Ended notes the end of an answered call. The recording is whole before anybody can read that the call has ended.
func (c *Call) Ended(by string) {
	c.closeLine()
	c.note(Event{Event: "ended", By: by}, func(r *Record, at *float64) { r.State, r.EndedAt, r.EndedBy = "ended", at, by })
	c.close()
}

// close ends what the call holds open; it is safe to repeat.
func (c *Call) close() {
	c.closeLine()
	c.hangUp()
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.ended:
	default:
		close(c.ended)
	}
}

func (c *Call) closeLine() {
	if c.line == nil {
		return
	}
	if err := c.line.Close(); err != nil {
		slog.Error("closing a call", "call", c.id, "error", err)
	}
}

// attach gives the call its signalling side, so that a BYE finds it.
func (c *Call) attach(dialog Dialog) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dialog = dialog
}

func (c *Call) signalling() (Dialog, []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dialog, c.answer
}

func (c *Call) MarshalJSON() ([]byte, error) {
	c.mu.Lock()
	record, line := c.record, c.line
	c.mu.Unlock()
	if line != nil {
		record.RTP, record.DTMF = line.Stats(), line.Keypad.Pressed()
	}
	return json.Marshal(record)
}

// openLine gives the call its media side.
func (c *Call) openLine(host string) error {
	line, err := openLine(host, c.phone.Mute)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = line
	return nil
}

// conduct lets the phone do its steps until one side hangs up. otherSide is who that is if it is not the phone.
func (c *Call) conduct(otherSide string) {
	dialog, _ := c.signalling()
	over, cancel := context.WithTimeout(c.hungUp, milliseconds(c.phone.MaxMs))
	defer cancel()
	defer context.AfterFunc(dialog.Context(), cancel)()
	if hangsUp := perform(over, c.line, c.phone.Steps); !hangsUp {
		<-over.Done()
	}
	if dialog.Context().Err() != nil {
		c.Ended(otherSide)
		return
	}
	c.closeLine()
	ctx, stop := context.WithTimeout(context.Background(), byeTimeout)
	defer stop()
	if err := dialog.Bye(ctx); err != nil {
		slog.Warn("BYE was not answered", "call", c.id, "error", err)
	}
	c.Ended("phone")
}
