package main

// How do keypad presses travel in RTP? RFC 4733: named events, sent several times with one timestamp, so that a lost packet loses no key.

import (
	"strings"
	"sync"

	"github.com/pion/rtp"
)

const (
	dtmfKeys       = "0123456789*#ABCD" // the place is the event code
	dtmfFrames     = 6                  // 120 ms a press
	dtmfGapFrames  = 4                  // 80 ms between two
	dtmfEndRepeats = 3
	dtmfVolume     = 10 // -10 dBm0
)

// eventPayload is the event of one key, held for a number of samples.
func eventPayload(key byte, held int, end bool) []byte {
	flags := byte(dtmfVolume)
	if end {
		flags |= 0x80
	}
	return []byte{byte(strings.IndexByte(dtmfKeys, key)), flags, byte(held >> 8), byte(held)}
}

// A Keypad collects the keys that the other side presses.
type Keypad struct {
	mu      sync.Mutex
	pressed []byte
	taken   int
	last    uint32 // timestamp of the event that was counted last
	any     bool
}

// Hear takes an event packet. A press is counted at its first packet that arrives, so the end packets may be lost.
func (k *Keypad) Hear(packet *rtp.Packet) {
	if len(packet.Payload) < 4 || int(packet.Payload[0]) >= len(dtmfKeys) {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.any && packet.Timestamp == k.last {
		return
	}
	k.any, k.last = true, packet.Timestamp
	k.pressed = append(k.pressed, dtmfKeys[packet.Payload[0]])
}

// Pressed lists all keys so far.
func (k *Keypad) Pressed() string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return string(k.pressed)
}

// Take removes n keys that no earlier step has waited for, or tells that there are not that many yet.
func (k *Keypad) Take(n int) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.pressed)-k.taken < n {
		return false
	}
	k.taken += n
	return true
}
