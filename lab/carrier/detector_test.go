package main

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// noise is hiss of a given RMS; voice is a tone of a given RMS.
func noise(source *rand.Rand, rms float64) []int16 {
	frame := make([]int16, frameSamples)
	for i := range frame {
		frame[i] = int16(source.NormFloat64() * rms)
	}
	return frame
}

func voice(rms float64) []int16 {
	frame := make([]int16, frameSamples)
	for i := range frame {
		frame[i] = int16(rms * math.Sqrt2 * math.Sin(2*math.Pi*float64(i)/32))
	}
	return frame
}

// ear feeds frames on a clock of its own.
type ear struct {
	Detector
	now time.Time
}

func (e *ear) hear(frames int, frame func() []int16) {
	for range frames {
		e.now = e.now.Add(frameLength)
		e.Hear(frame(), e.now)
	}
}

func TestTalkIsHeardAboveComfortNoiseAndEndsWithIt(t *testing.T) {
	source := rand.New(rand.NewPCG(1, 2))
	for _, level := range []float64{0, 30, 100, 200, 380} {
		e := &ear{now: time.Unix(0, 0)}
		hiss := func() []int16 { return noise(source, level) }
		e.hear(100, hiss)
		if e.Talking(e.now) {
			t.Errorf("noise of %v is taken for speech", level)
		}
		start := e.now
		e.hear(50, func() []int16 { return voice(3000) })
		if !e.Talking(e.now) {
			t.Errorf("speech above noise of %v is not heard", level)
		}
		e.hear(20, hiss)
		if e.FellSilent(start, 800*time.Millisecond, e.now) {
			t.Error("400 ms of silence pass for 800")
		}
		e.hear(25, hiss)
		if e.Talking(e.now) || !e.FellSilent(start, 800*time.Millisecond, e.now) {
			t.Errorf("silence in noise of %v is not noticed", level)
		}
	}
}

func TestAClickIsNotSpeech(t *testing.T) {
	e := &ear{now: time.Unix(0, 0)}
	e.hear(50, func() []int16 { return voice(0) })
	e.hear(1, func() []int16 { return voice(9000) })
	e.hear(3, func() []int16 { return voice(0) })
	if e.Talking(e.now) {
		t.Error("a click is taken for speech")
	}
}

func TestSilenceIsNoticedWhenPacketsStop(t *testing.T) {
	e := &ear{now: time.Unix(0, 0)}
	start := e.now
	e.hear(10, func() []int16 { return voice(0) })
	e.hear(50, func() []int16 { return voice(3000) })
	if !e.FellSilent(start, 800*time.Millisecond, e.now.Add(time.Second)) {
		t.Error("an ended stream is not silence")
	}
}

func TestLongSpeechIsNotLearntAsNoise(t *testing.T) {
	e := &ear{now: time.Unix(0, 0)}
	e.hear(10, func() []int16 { return voice(10) })
	e.hear(3000, func() []int16 { return voice(3000) })
	if !e.Talking(e.now) {
		t.Error("a minute of speech has become noise")
	}
}

func TestWhatWasSaidBeforeIsNoAnswer(t *testing.T) {
	e := &ear{now: time.Unix(0, 0)}
	e.hear(10, func() []int16 { return voice(0) })
	e.hear(50, func() []int16 { return voice(3000) })
	if e.FellSilent(e.now, time.Millisecond, e.now.Add(time.Second)) {
		t.Error("earlier speech counts")
	}
}
