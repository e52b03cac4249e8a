package main

import (
	"math"
	"testing"
	"time"

	"github.com/pion/rtp"
	"gopkg.in/hraban/opus.v2"
)

func sine(hz, rate, samples, offset int) []int16 {
	pcm := make([]int16, samples)
	for i := range pcm {
		pcm[i] = int16(10000 * math.Sin(2*math.Pi*float64(hz)*float64(offset+i)/float64(rate)))
	}
	return pcm
}

func power(pcm []int16) float64 {
	sum := 0.0
	for _, sample := range pcm {
		sum += float64(sample) * float64(sample)
	}
	return math.Sqrt(sum / float64(len(pcm)))
}

func TestEachCodecKeepsASine(t *testing.T) {
	for _, c := range codecs {
		t.Run(c.name, func(t *testing.T) {
			encode, decode := c.encoder(), c.decoder()
			var heard []int16
			for frame := range 50 {
				payload := encode(sine(440, c.rate, c.frameSamples(), frame*c.frameSamples()))
				if len(payload) != rtpFrame {
					t.Fatalf("a frame has %d bytes", len(payload))
				}
				heard = append(heard, decode(payload)...)
			}
			if len(heard) != c.rate {
				t.Fatalf("%d samples", len(heard))
			}
			if got := power(heard[c.rate/2:]); math.Abs(got-7071) > 500 {
				t.Errorf("power %.0f, not 7071", got)
			}
		})
	}
}

// tape collects what an uplink sends.
type tape struct{ packets []*rtp.Packet }

func (t *tape) write(packet *rtp.Packet, _ uint8) error {
	t.packets = append(t.packets, packet)
	return nil
}

func TestTheUplinkKeepsThePhonesTiming(t *testing.T) {
	out := &tape{}
	up := newUplink(out)
	now := time.Now()
	push := func(timestamp uint32, samples int, at time.Duration) {
		if err := up.push(make([]int16, samples), 8000, 1, timestamp, false, now.Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	push(8000, 160, 0)
	push(8160, 160, 20*time.Millisecond)
	push(8480, 160, 60*time.Millisecond)           // one was lost
	push(8480+160+4000, 160, 580*time.Millisecond) // half a second of silence
	steps := []uint32{}
	for i, packet := range out.packets[1:] {
		steps = append(steps, packet.Timestamp-out.packets[i].Timestamp)
		if packet.SequenceNumber != out.packets[i].SequenceNumber+1 {
			t.Error("sequence numbers do not follow")
		}
	}
	if len(steps) != 3 || steps[0] != 960 || steps[1] != 1920 || steps[2] != 960+24000 {
		t.Errorf("timestamps advance by %v", steps)
	}
	if !out.packets[0].Marker || out.packets[1].Marker || !out.packets[3].Marker {
		t.Error("markers are not at the starts of speech")
	}
}

func TestAPhonesClockMayStandStillWhileItIsSilent(t *testing.T) {
	out := &tape{}
	up := newUplink(out)
	now := time.Now()
	for i, at := range []time.Duration{0, 20 * time.Millisecond, 520 * time.Millisecond, 540 * time.Millisecond} {
		if err := up.push(make([]int16, 160), 8000, 1, uint32(i*160), i == 2, now.Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	if step := out.packets[2].Timestamp - out.packets[1].Timestamp; step < 24000 || step > 25000 {
		t.Errorf("half a second of silence counts as %d", step)
	}
	if step := out.packets[3].Timestamp - out.packets[2].Timestamp; step != opusFrame {
		t.Errorf("after it, a packet counts as %d", step)
	}
}

func TestTheUplinkCutsAnyPacketLengthIntoFrames(t *testing.T) {
	out := &tape{}
	up := newUplink(out)
	for i := range 10 { // 30 ms each
		if err := up.push(make([]int16, 240), 8000, 1, uint32(i*240), false, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if len(out.packets) != 15 {
		t.Errorf("%d frames from 300 ms", len(out.packets))
	}
}

func TestTheUplinkStandsAPhoneWhoseTimestampsJump(t *testing.T) {
	out := &tape{}
	up := newUplink(out)
	now := time.Now()
	for i, timestamp := range []uint32{0, 160, 4000000000, 4000000160, 5, 165} {
		if err := up.push(make([]int16, 160), 8000, 1, timestamp, false, now.Add(time.Duration(i)*frameDuration)); err != nil {
			t.Fatal(err)
		}
	}
	for i, packet := range out.packets[1:] {
		if step := packet.Timestamp - out.packets[i].Timestamp; step == 0 || step > 4*opusFrame {
			t.Errorf("packet %d is %d after the one before", i+1, step)
		}
	}
}

// speaker makes the packets of a track.
type speaker struct {
	encoder *opus.Encoder
	packet  rtp.Packet
}

func newSpeaker(t *testing.T) *speaker {
	encoder, err := opus.NewEncoder(8000, 1, opus.AppVoIP)
	if err != nil {
		t.Fatal(err)
	}
	return &speaker{encoder: encoder}
}

func (s *speaker) say(t *testing.T) *rtp.Packet {
	buffer := make([]byte, 1000)
	n, err := s.encoder.Encode(sine(440, 8000, 160, int(s.packet.Timestamp/6)), buffer)
	if err != nil {
		t.Fatal(err)
	}
	packet := &rtp.Packet{Header: s.packet.Header, Payload: buffer[:n]}
	s.packet.SequenceNumber++
	s.packet.Timestamp += opusFrame
	return packet
}

func TestTheRoomIsHeardSoonAndWithoutGaps(t *testing.T) {
	p, err := newPlayout(8000)
	if err != nil {
		t.Fatal(err)
	}
	voice := newSpeaker(t)
	start := time.Now()
	silentAfterStart, first := 0, time.Duration(-1)
	for frame := range 500 {
		at := start.Add(time.Duration(frame) * frameDuration)
		p.push(voice.say(t), at)
		mix := make([]int32, 160)
		p.mixInto(mix, at.Add(7*time.Millisecond)) // the two clocks are never in step
		if loudest(mix) > 0 && first < 0 {
			first = at.Sub(start)
		} else if first >= 0 && loudest(mix) == 0 {
			silentAfterStart++
		}
	}
	if first < 0 || first > 60*time.Millisecond {
		t.Errorf("first heard after %v", first)
	}
	if silentAfterStart > 0 {
		t.Errorf("%d silent frames", silentAfterStart)
	}
}

func TestATrackThatWasLateIsCaughtUpWithAgain(t *testing.T) {
	p, err := newPlayout(8000)
	if err != nil {
		t.Fatal(err)
	}
	voice := newSpeaker(t)
	start := time.Now()
	for frame := range 600 {
		at := start.Add(time.Duration(frame) * frameDuration)
		if frame == 100 { // half a second arrives at once
			for range 25 {
				p.push(voice.say(t), at)
			}
		}
		p.push(voice.say(t), at)
		p.mixInto(make([]int32, 160), at)
	}
	if held := time.Duration(len(p.samples)) * time.Second / 8000; held > 250*time.Millisecond {
		t.Errorf("%v are still held ten seconds later", held)
	}
}

func TestLostPacketsAreFilledIn(t *testing.T) {
	p, err := newPlayout(8000)
	if err != nil {
		t.Fatal(err)
	}
	voice := newSpeaker(t)
	now := time.Now()
	p.push(voice.say(t), now)
	voice.say(t)
	voice.say(t)
	p.push(voice.say(t), now)
	if len(p.samples) != 4*160 {
		t.Errorf("%d samples for four frames of which two were lost", len(p.samples))
	}
}

func loudest(mix []int32) int32 {
	most := int32(0)
	for _, sample := range mix {
		most = max(most, sample, -sample)
	}
	return most
}

func TestTheRingingToneSoundsOneSecondInFive(t *testing.T) {
	tone := &ringback{}
	loud := 0
	for range 10 * framesASecond {
		mix := make([]int32, 160)
		tone.mixInto(mix, time.Time{})
		if loudest(mix) > 0 {
			loud++
		}
	}
	if loud != 2*framesASecond {
		t.Errorf("%d of %d frames sound", loud, 10*framesASecond)
	}
}

func TestLoudnessIsMeasuredInDecibels(t *testing.T) {
	if level := audioLevel(make([]int16, 160)); level != 127 {
		t.Errorf("silence is %d", level)
	}
	if level := audioLevel(sine(440, 8000, 160, 0)); level < 12 || level > 14 {
		t.Errorf("a sine of -10 dBFS is %d", level)
	}
}
