package main

import (
	"bytes"
	"math"
	"net"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/gotranspile/g722"
	"github.com/pion/rtp"
)

func TestCodecsKeepTheSound(t *testing.T) {
	sound := tone(440, time.Second)
	for _, name := range codecNames {
		encoder, decoder := newCodec(name), newCodec(name)
		var back []int16
		for frame := range slices.Chunk(sound, frameSamples) {
			payload := encoder.Encode(frame)
			if len(payload) != frameSamples {
				t.Fatalf("%s: 20 ms are %d bytes", name, len(payload))
			}
			back = append(back, decoder.Decode(payload)...)
		}
		if ratio := likeness(sound, back); ratio < 0.99 {
			t.Errorf("%s: likeness %.3f", name, ratio)
		}
	}
}

func TestAWidebandPeerHearsTheSameLevelAndPitch(t *testing.T) {
	sound := tone(440, time.Second)
	ours := newCodec("G722")
	theirs := g722.NewDecoder(g722.Rate64000, 0)
	heard := make([]int16, 2*len(sound))
	heard = heard[:theirs.Decode(heard, ours.Encode(sound))]
	half := make([]int16, 0, len(sound))
	for i := 0; i < len(heard); i += 2 {
		half = append(half, heard[i])
	}
	if ratio := level(half) / level(sound); len(heard) != 2*len(sound) || ratio < 0.9 || ratio > 1.1 || likeness(sound, half) < 0.98 {
		t.Errorf("%d samples, level %.2f, likeness %.3f", len(heard), ratio, likeness(sound, half))
	}
	answered := g722.NewEncoder(g722.Rate64000, 0)
	double := make([]int16, 0, 2*len(sound))
	for _, sample := range sound { // crude, but 440 Hz is far below where it matters
		double = append(double, sample, sample)
	}
	payload := make([]byte, len(sound))
	back := ours.Decode(payload[:answered.Encode(payload, double)])
	if ratio := level(back) / level(sound); ratio < 0.9 || ratio > 1.1 || likeness(sound, back) < 0.98 {
		t.Errorf("back: level %.2f, likeness %.3f", ratio, likeness(sound, back))
	}
}

func level(samples []int16) float64 {
	sum := 0.0
	for _, sample := range samples {
		sum += float64(sample) * float64(sample)
	}
	return math.Sqrt(sum / float64(len(samples)))
}

// likeness is the best correlation of two sounds within a few milliseconds of delay.
func likeness(a, b []int16) float64 {
	best := 0.0
	for delay := range 40 {
		var ab, aa, bb float64
		for i := range min(len(a), len(b)) - delay {
			x, y := float64(a[i]), float64(b[i+delay])
			ab, aa, bb = ab+x*y, aa+x*x, bb+y*y
		}
		best = max(best, ab*ab/(aa*bb))
	}
	return best
}

func TestOfferAndAnswerAgreeOnTheFirstCodecThatThePhoneHas(t *testing.T) {
	local := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000}
	body, err := offer(local, []string{"PCMU", "PCMA"})
	if err != nil {
		t.Fatal(err)
	}
	agreement, err := agree(body, []string{"PCMA", "PCMU"})
	if err != nil || agreement.Codec != "PCMA" || agreement.PayloadType != 8 || agreement.DTMFType != 101 || agreement.Remote.String() != local.String() {
		t.Fatalf("%+v, %v", agreement, err)
	}
	reply, err := agreement.answer(local)
	if err != nil || !bytes.Contains(reply, []byte("m=audio 4000 RTP/AVP 8 101\r\n")) {
		t.Errorf("%s, %v", reply, err)
	}
	if _, err := agree([]byte("v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 3\r\n"), codecNames); err != errNoCommonCodec {
		t.Error(err)
	}
}

func TestAKeyIsCountedOnceEvenIfItsEndIsLost(t *testing.T) {
	var keypad Keypad
	for i, key := range []byte("1#1") {
		for held := range 3 {
			keypad.Hear(&rtp.Packet{Header: rtp.Header{Timestamp: uint32(1000 * i)}, Payload: eventPayload(key, held*frameSamples, false)})
		}
	}
	if keypad.Pressed() != "1#1" || keypad.Take(4) || !keypad.Take(2) || keypad.Take(2) || !keypad.Take(1) {
		t.Error(keypad.Pressed())
	}
}

func TestLossIsCountedAcrossReorderingAndWrap(t *testing.T) {
	var a arrivals
	for _, sequence := range []uint16{65533, 65534, 0, 65535, 2, 5} { // 1, 3 and 4 are missing
		a.count(&rtp.Header{SSRC: 7, SequenceNumber: sequence})
	}
	a.count(&rtp.Header{SSRC: 8, SequenceNumber: 100})
	if a.received != 7 || a.lost() != 3 {
		t.Errorf("received %d, lost %d", a.received, a.lost())
	}
}

func TestAPacketIsPlacedByItsTimestampUnlessTheClockJumped(t *testing.T) {
	var a arrivals
	a.count(&rtp.Header{SSRC: 7})
	for _, c := range []struct{ timestamp, arrived, place int }{
		{1000, 800, 800}, {1160, 1050, 960}, {1320, 1100, 1120}, {99000, 1300, 1300}, {99160, 1500, 1460},
	} {
		if place := a.place(&rtp.Header{SSRC: 7, Timestamp: uint32(c.timestamp)}, c.arrived); place != c.place {
			t.Errorf("%+v: placed at %d", c, place)
		}
	}
}

func TestARecordingHoldsBothSidesAtTheirPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "call.wav")
	recording, err := newRecording(path)
	if err != nil {
		t.Fatal(err)
	}
	const seconds = 10 // longer than what is kept in memory
	for at := 0; at < seconds*sampleRate; at += frameSamples {
		frame := slices.Repeat([]int16{int16(at / sampleRate)}, frameSamples)
		if err := recording.Put(saidChannel, at, frame); err != nil {
			t.Fatal(err)
		}
		if err := recording.Put(heardChannel, at-frameSamples, frame); err != nil { // the first belongs before the answer
			t.Fatal(err)
		}
	}
	if err := recording.Close(); err != nil {
		t.Fatal(err)
	}
	heard, said := readStereo(t, path)
	if len(said) != seconds*sampleRate || said[5*sampleRate] != 5 || said[5*sampleRate-1] != 4 || heard[5*sampleRate-frameSamples] != 5 || heard[5*sampleRate-frameSamples-1] != 4 {
		t.Errorf("%d samples", len(said))
	}
}

func TestTheLimitCountsASlidingSecond(t *testing.T) {
	limit := &RateLimit{cps: 2}
	start := time.Unix(0, 0)
	allowed := []bool{}
	for _, ms := range []int{0, 400, 900, 1001, 1100, 1401} {
		allowed = append(allowed, limit.Allow(start.Add(milliseconds(ms))))
	}
	if !slices.Equal(allowed, []bool{true, true, false, true, false, true}) {
		t.Error(allowed)
	}
}
