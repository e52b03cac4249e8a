package main

// dtmf.go answers: how do key presses travel in RTP (RFC 4733), in both directions?

import (
	"encoding/binary"
	"strings"
)

const (
	eventVolume = 10                // in -dBm0
	eventFrames = 13                // 260 ms
	eventGap    = 13                // frames of audio between two key presses
	pauseFrames = framesASecond / 2 // a 'w' in a string of digits
	endRepeats  = 3                 // the last packet of an event is sent three times, since it must not be lost
)

// eventDigits are the keys in the order of their event codes.
const eventDigits = "0123456789*#ABCD"

// eventOf returns the event code of a key.
func eventOf(digit rune) (uint8, bool) {
	i := strings.IndexRune(eventDigits, digit)
	if i < 0 {
		i = strings.IndexRune(strings.ToLower(eventDigits), digit)
	}
	return uint8(i), i >= 0
}

// digitOf returns the key of an event code, as text.
func digitOf(code uint8) (string, bool) {
	if int(code) >= len(eventDigits) {
		return "", false
	}
	return eventDigits[code : code+1], true
}

// keypresses turns the events that arrive from the phone into one report per key press.
type keypresses struct {
	seen      bool
	timestamp uint32
}

// read returns the event code once per press: every packet of one press carries the same timestamp.
func (k *keypresses) read(timestamp uint32, payload []byte) (uint8, bool) {
	if len(payload) < 4 || (k.seen && k.timestamp == timestamp) {
		return 0, false
	}
	k.seen, k.timestamp = true, timestamp
	return payload[0], true
}

// keypad plays key presses to the phone, frame by frame. The zero value is an empty keypad.
type keypad struct {
	queue     []uint8 // event codes, or pauseKey
	frame     int     // of the current press; the gap after it included
	timestamp uint32  // of the current press
}

const pauseKey = uint8(0xff)

// press queues a key.
func (k *keypad) press(code uint8) { k.queue = append(k.queue, code) }

// pressAll queues a string of digits in which 'w' waits for half a second.
func (k *keypad) pressAll(digits string) {
	for _, digit := range digits {
		if digit == 'w' || digit == 'W' {
			k.press(pauseKey)
		} else if code, ok := eventOf(digit); ok {
			k.press(code)
		}
	}
}

// eventPacket is what one RTP packet of a key press says.
type eventPacket struct {
	timestamp uint32
	marker    bool
	payload   []byte
	repeats   int
}

// next advances by one frame; now is the RTP timestamp of that frame. It returns no packet while no key is down.
func (k *keypad) next(now uint32) (eventPacket, bool) {
	if len(k.queue) == 0 {
		return eventPacket{}, false
	}
	code := k.queue[0]
	length := eventFrames + eventGap
	if code == pauseKey {
		length = pauseFrames
	}
	if k.frame == 0 {
		k.timestamp = now
	}
	k.frame++
	frame := k.frame
	if frame >= length {
		k.queue, k.frame = k.queue[1:], 0
	}
	if code == pauseKey || frame > eventFrames {
		return eventPacket{}, false
	}
	packet := eventPacket{timestamp: k.timestamp, marker: frame == 1, payload: make([]byte, 4), repeats: 1}
	packet.payload[0], packet.payload[1] = code, eventVolume
	if frame == eventFrames {
		packet.payload[1] |= 0x80
		packet.repeats = endRepeats
	}
	binary.BigEndian.PutUint16(packet.payload[2:], uint16(frame*rtpFrame))
	return packet, true
}
