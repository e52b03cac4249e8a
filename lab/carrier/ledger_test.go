package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-audio/wav"
)

func TestEachEventIsOneLineWhenItHappens(t *testing.T) {
	folder := t.TempDir()
	ledger, err := openLedger(folder)
	if err != nil {
		t.Fatal(err)
	}
	lines := func() []string {
		data, err := os.ReadFile(filepath.Join(folder, "invites.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(string(data)), "\n")
	}
	_, grown := ledger.Events(0)
	call, err := ledger.Open("id", "outbound", "+1", "+2")
	if err != nil || len(lines()) != 1 {
		t.Fatal(err, lines())
	}
	<-grown
	call.Ringing()
	call.Rejected(486)
	written := lines()
	var last Event
	if err := json.Unmarshal([]byte(written[len(written)-1]), &last); err != nil {
		t.Fatal(err)
	}
	if len(written) != 3 || last.Event != "rejected" || last.Status != 486 || last.SIPCallID != "id" || last.To != "+2" || last.Time < 1e9 {
		t.Errorf("%+v", last)
	}
	if events, _ := ledger.Events(1); len(events) != 2 {
		t.Error(events)
	}
	if ledger.Find("id") != call || ledger.Find("other") != nil {
		t.Error("the wrong call was found")
	}
}

func readStereo(t *testing.T, path string) (left, right []int) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := wav.NewDecoder(file)
	buffer, err := decoder.FullPCMBuffer()
	if err != nil || decoder.NumChans != 2 || decoder.SampleRate != sampleRate {
		t.Fatal(err, decoder)
	}
	for i := 0; i < len(buffer.Data); i += 2 {
		left, right = append(left, buffer.Data[i]), append(right, buffer.Data[i+1])
	}
	return left, right
}
