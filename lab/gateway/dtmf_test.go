package main

import (
	"encoding/binary"
	"testing"
)

func TestAKeyPressIsSentForTwoHundredAndSixtyMilliseconds(t *testing.T) {
	var keys keypad
	keys.press(7)
	packets, ends := 0, 0
	for frame := range uint32(40) {
		packet, pressed := keys.next(1000 + frame*rtpFrame)
		if !pressed {
			continue
		}
		packets++
		if packet.timestamp != 1000 || packet.payload[0] != 7 || packet.marker != (packets == 1) {
			t.Fatalf("frame %d: %+v", frame, packet)
		}
		if duration := binary.BigEndian.Uint16(packet.payload[2:]); int(duration) != packets*rtpFrame {
			t.Errorf("packet %d says %d", packets, duration)
		}
		if packet.payload[1]&0x80 != 0 {
			ends += packet.repeats
		}
	}
	if packets != 13 || ends != 3 {
		t.Errorf("%d packets, %d ends", packets, ends)
	}
}

func TestDigitsFollowEachOtherWithGapsAndPauses(t *testing.T) {
	var keys keypad
	keys.pressAll("1w#")
	starts := map[int]uint8{}
	for frame := range 200 {
		if packet, pressed := keys.next(uint32(frame * rtpFrame)); pressed && packet.marker {
			starts[frame] = packet.payload[0]
		}
	}
	first, second := 0, eventFrames+eventGap+pauseFrames
	if len(starts) != 2 || starts[first] != 1 || starts[second] != 11 {
		t.Errorf("presses start at %v, not at %d and %d", starts, first, second)
	}
}

func TestAPressIsReportedOnceHoweverManyPacketsItHas(t *testing.T) {
	var presses keypresses
	reported := []uint8{}
	for _, packet := range []struct {
		timestamp uint32
		payload   []byte
	}{
		{100, []byte{5, 10, 0, 160}}, {100, []byte{5, 10, 1, 64}}, {100, []byte{5, 0x8a, 1, 64}}, {100, []byte{5, 0x8a, 1, 64}},
		{9000, []byte{5, 0x8a, 1, 64}}, {9000, []byte{5, 0x8a, 1, 64}}, {9900, []byte{1}},
	} {
		if code, ok := presses.read(packet.timestamp, packet.payload); ok {
			reported = append(reported, code)
		}
	}
	if len(reported) != 2 {
		t.Errorf("reported %v", reported)
	}
}

func TestEveryKeyHasACodeAndBack(t *testing.T) {
	for want, digit := range eventDigits {
		code, ok := eventOf(digit)
		back, there := digitOf(code)
		if !ok || !there || int(code) != want || back != string(digit) {
			t.Errorf("%c: code %d, back %q", digit, code, back)
		}
	}
	if code, ok := eventOf('d'); !ok || code != 15 {
		t.Error("lower case is not known")
	}
	if _, ok := eventOf('x'); ok {
		t.Error("x is no key")
	}
	if _, ok := digitOf(16); ok {
		t.Error("16 is no key")
	}
}
