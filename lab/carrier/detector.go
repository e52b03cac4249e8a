package main

// Is the other side talking? The steps `wait_for` of a phone are decided here, from the sound that the phone hears.

import (
	"math"
	"sync"
	"time"
)

const (
	quietestSpeech = 400.0                  // RMS of 16 bit samples, about -38 dBFS: above comfort noise, below soft speech
	loudestFloor   = 700.0                  // long speech must not be learnt as noise
	speechOnset    = 3                      // loud frames, of the last five, that make speech: a click has one
	speechHangover = 240 * time.Millisecond // a gap between two words is not silence
)

// A Detector follows the energy of what is heard, above a noise floor that it learns.
type Detector struct {
	mu       sync.Mutex
	floor    float64
	recent   [5]bool
	frames   int
	lastTalk time.Time // the end of the last loud frame that belonged to speech
}

// Hear takes one frame that ends at a given time.
func (d *Detector) Hear(samples []int16, end time.Time) {
	if len(samples) == 0 {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	energy := 0.0
	for _, sample := range samples {
		energy += float64(sample) * float64(sample)
	}
	level := math.Sqrt(energy / float64(len(samples)))
	if d.frames == 0 || level < d.floor {
		d.floor = min(loudestFloor, level)
	} else {
		d.floor = min(loudestFloor, max(d.floor, 1)*1.005)
	}
	loud := level > max(quietestSpeech, 3*d.floor)
	d.recent[d.frames%len(d.recent)] = loud
	d.frames++
	count := 0
	for _, was := range d.recent {
		if was {
			count++
		}
	}
	if loud && (count >= speechOnset || end.Sub(d.lastTalk) < speechHangover) {
		d.lastTalk = end
	}
}

// Talking tells whether speech goes on now.
func (d *Detector) Talking(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return now.Sub(d.lastTalk) < speechHangover
}

// FellSilent tells whether there was speech after a given time and then quiet of a given length.
func (d *Detector) FellSilent(since time.Time, quiet time.Duration, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lastTalk.After(since) && now.Sub(d.lastTalk) >= quiet
}
