package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func phoneOf(t *testing.T, text string) *Phone {
	t.Helper()
	phone := &Phone{}
	if err := json.Unmarshal([]byte(text), phone); err != nil {
		t.Fatal(err)
	}
	return phone
}

func TestAPhoneHasTheDocumentedDefaults(t *testing.T) {
	phone := phoneOf(t, `{"steps": [{"wait_for": "silence"}, {"wait_for": "speech"}, {"beep_ms": 100}]}`)
	if phone.RingMs != 300 || phone.Progress != 180 || phone.MaxMs != 120000 || !phone.Record || len(phone.Codecs) != len(codecNames) {
		t.Errorf("%+v", phone)
	}
	silence, speech, beep := phone.Steps[0], phone.Steps[1], phone.Steps[2]
	if silence.SilenceMs != 800 || silence.TimeoutMs != 15000 || speech.TimeoutMs != 8000 || beep.Hz != 1000 {
		t.Errorf("%+v", phone.Steps)
	}
}

func TestAWrongScenarioIsRefusedWithTheReason(t *testing.T) {
	for text, reason := range map[string]string{
		`{"rejekt": 486}`:                           "rejekt",
		`{"reject": 200}`:                           "300 to 699",
		`{"progress": 181}`:                         "180, 183 or 0",
		`{"early_media": "x.wav"}`:                  "183",
		`{"codecs": ["opus"]}`:                      "opus",
		`{"max_ms": 0}`:                             "max_ms",
		`{"steps": [{}]}`:                           "exactly one",
		`{"steps": [{"play": "x", "pause_ms": 1}]}`: "exactly one",
		`{"steps": [{"say": "hello"}]}`:             "say",
		`{"steps": [{"wait_for": "godot"}]}`:        "godot",
		`{"steps": [{"dtmf": "1x"}]}`:               "keypad",
	} {
		err := json.Unmarshal([]byte(text), &Phone{})
		if err == nil || !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func TestANumberIsFoundWithOrWithoutPlus(t *testing.T) {
	book := newPhonebook(".")
	busy, fallback := phoneOf(t, `{"reject": 486}`), phoneOf(t, `{"reject": 404}`)
	if err := book.Put(map[string]*Phone{"+12025550101": busy, "default": fallback}); err != nil {
		t.Fatal(err)
	}
	if book.Find("12025550101") != busy || book.Find("+12025550101") != busy || book.Find("+12025550102") != fallback {
		t.Error("the wrong phone was found")
	}
}

func TestPuttingPhonesIsAllOrNothing(t *testing.T) {
	book := newPhonebook(".")
	err := book.Put(map[string]*Phone{"+1": phoneOf(t, `{"reject": 486}`), "+2": phoneOf(t, `{"steps": [{"play": "missing.wav"}]}`)})
	if err == nil || book.Find("+1").Reject != 0 {
		t.Errorf("%v, %+v", err, book.Find("+1"))
	}
}

func TestAScenarioFileGivesPhonesAndLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "phones.json")
	text := `{"cps": 3, "phones": {"+1": {"reject": 486}}, "default": {"dead": true}}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	book, cps, err := openPhonebook(path, "")
	if err != nil || cps != 3 || book.Find("+1").Reject != 486 || !book.Find("+2").Dead {
		t.Errorf("%v, %d", err, cps)
	}
}
