package main

// How does each number behave? A scenario is a table from phone numbers to phones; a phone is a small script. Everything wrong in
// a scenario is found when it is read, never in the middle of a call.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Phone says what happens when its number is dialled, or when it dials itself.
type Phone struct {
	RingMs           int               `json:"ring_ms"`
	Progress         int               `json:"progress"`
	EarlyMedia       string            `json:"early_media"`
	Reject           int               `json:"reject"`
	NoAnswer         bool              `json:"no_answer"`
	Dead             bool              `json:"dead"`
	Codecs           []string          `json:"codecs"`
	Mute             bool              `json:"mute"`
	AnswerSIPHeaders map[string]string `json:"answer_sip_headers"`
	Transfer         int               `json:"transfer"`
	PatienceMs       int               `json:"patience_ms"`
	Record           bool              `json:"record"`
	Steps            []Step            `json:"steps"`
	MaxMs            int               `json:"max_ms"`

	earlyMedia []int16
}

// A Step is one thing that a phone does after the answer; exactly one action is set.
type Step struct {
	Play      string `json:"play"`
	PauseMs   int    `json:"pause_ms"`
	WaitFor   string `json:"wait_for"`
	SilenceMs int    `json:"silence_ms"`
	TimeoutMs int    `json:"timeout_ms"`
	BeepMs    int    `json:"beep_ms"`
	Hz        int    `json:"hz"`
	DTMF      string `json:"dtmf"`
	WaitDTMF  int    `json:"wait_dtmf"`
	Hangup    bool   `json:"hangup"`

	sound []int16
}

func milliseconds(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func (p *Phone) UnmarshalJSON(data []byte) error {
	type fields Phone
	read := fields{RingMs: 300, Progress: 180, Codecs: slices.Clone(codecNames), Transfer: 200, PatienceMs: 60000, Record: true, MaxMs: 120000}
	if err := strictly(data, &read); err != nil {
		return err
	}
	*p = Phone(read)
	return p.check()
}

func (p *Phone) check() error {
	switch {
	case p.RingMs < 0 || p.MaxMs <= 0 || p.PatienceMs <= 0:
		return errors.New("ring_ms, patience_ms and max_ms must not be negative")
	case !slices.Contains([]int{0, 180, 183}, p.Progress):
		return fmt.Errorf("progress is 180, 183 or 0, not %d", p.Progress)
	case p.Reject != 0 && (p.Reject < 300 || p.Reject > 699):
		return fmt.Errorf("reject is a final SIP status from 300 to 699, not %d", p.Reject)
	case p.EarlyMedia != "" && p.Progress != 183:
		return errors.New("early_media is heard only with \"progress\": 183")
	case len(p.Codecs) == 0:
		return errors.New("codecs must not be empty")
	}
	for _, name := range p.Codecs {
		if !slices.Contains(codecNames, name) {
			return fmt.Errorf("no codec %q: choose of %s", name, strings.Join(codecNames, ", "))
		}
	}
	return nil
}

func (s *Step) UnmarshalJSON(data []byte) error {
	type fields Step
	read := fields{Hz: 1000}
	if err := strictly(data, &read); err != nil {
		return err
	}
	*s = Step(read)
	if s.TimeoutMs == 0 {
		s.TimeoutMs = 8000
		if s.WaitFor == "silence" {
			s.TimeoutMs = 15000
		}
	}
	if s.WaitFor == "silence" && s.SilenceMs == 0 {
		s.SilenceMs = 800
	}
	return s.check()
}

func (s *Step) check() error {
	actions := 0
	for _, set := range []bool{s.Play != "", s.PauseMs > 0, s.WaitFor != "", s.BeepMs > 0, s.DTMF != "", s.WaitDTMF > 0, s.Hangup} {
		if set {
			actions++
		}
	}
	if actions != 1 {
		return fmt.Errorf("a step has exactly one of play, pause_ms, wait_for, beep_ms, dtmf, wait_dtmf, hangup; found %d", actions)
	}
	if s.WaitFor != "" && s.WaitFor != "speech" && s.WaitFor != "silence" {
		return fmt.Errorf("wait_for is speech or silence, not %q", s.WaitFor)
	}
	for _, key := range s.DTMF {
		if !strings.ContainsRune(dtmfKeys, key) {
			return fmt.Errorf("dtmf: %q is not on a telephone keypad", key)
		}
	}
	return nil
}

// strictly decodes JSON in which an unknown key is an error: a misspelt behaviour must not pass for the default one.
func strictly(data []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// load reads the WAV files that the phone will play; relative paths start at folder.
func (p *Phone) load(folder string) (err error) {
	read := func(path string) ([]int16, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(folder, path)
		}
		return readWAV(path)
	}
	if p.EarlyMedia != "" {
		if p.earlyMedia, err = read(p.EarlyMedia); err != nil {
			return err
		}
	}
	for i := range p.Steps {
		if step := &p.Steps[i]; step.Play != "" {
			if step.sound, err = read(step.Play); err != nil {
				return err
			}
		}
	}
	return nil
}

// A Phonebook holds the phones of all numbers.
type Phonebook struct {
	folder   string
	mu       sync.RWMutex
	phones   map[string]*Phone
	fallback *Phone
}

type scenario struct {
	CPS     int               `json:"cps"`
	Phones  map[string]*Phone `json:"phones"`
	Default *Phone            `json:"default"`
}

func newPhonebook(folder string) *Phonebook {
	plain := &Phone{}
	if err := json.Unmarshal([]byte("{}"), plain); err != nil {
		panic(err) // the defaults themselves would be invalid
	}
	return &Phonebook{folder: folder, phones: map[string]*Phone{}, fallback: plain}
}

// openPhonebook reads a scenario file and answers its phones and its limit of calls per second.
func openPhonebook(path, folder string) (*Phonebook, int, error) {
	book := newPhonebook(folder)
	if path == "" {
		return book, 0, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	var read scenario
	if err := strictly(data, &read); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	book.folder = filepath.Dir(path)
	if read.Phones == nil {
		read.Phones = map[string]*Phone{}
	}
	if read.Default != nil {
		read.Phones["default"] = read.Default
	}
	if err := book.Put(read.Phones); err != nil {
		return nil, 0, fmt.Errorf("%s: %w", path, err)
	}
	return book, read.CPS, nil
}

// Put adds or replaces numbers, all or none of them; the number "default" stands for all that are not listed.
func (b *Phonebook) Put(phones map[string]*Phone) error {
	for number, phone := range phones {
		if phone == nil {
			return fmt.Errorf("%s: a phone is an object, not null", number)
		}
		if err := phone.load(b.folder); err != nil {
			return fmt.Errorf("%s: %w", number, err)
		}
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for number, phone := range phones {
		if number == "default" {
			b.fallback = phone
		} else {
			b.phones[canonical(number)] = phone
		}
	}
	return nil
}

// Find answers the phone of a number, with or without its leading +.
func (b *Phonebook) Find(number string) *Phone {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if phone, ok := b.phones[canonical(number)]; ok {
		return phone
	}
	return b.fallback
}

func canonical(number string) string { return strings.TrimPrefix(number, "+") }
