package main

// Which codecs does a phone speak, and how does 20 ms of sound become a payload? Inside the carrier sound is always 16 bit at 8 kHz.

import (
	"fmt"
	"math"
	"os"
	"time"

	"github.com/go-audio/wav"
	"github.com/gotranspile/g722"
	"github.com/zaf/g711"
)

const (
	sampleRate   = 8000
	frameLength  = 20 * time.Millisecond
	frameSamples = 160
)

// codecNames lists what a phone offers by default, in order of preference.
var codecNames = []string{"PCMU", "PCMA", "G722"}

// A Codec turns samples into payloads and back; it may keep state, so each direction of each call has its own.
type Codec interface {
	Encode(samples []int16) []byte
	Decode(payload []byte) []int16
}

// staticPayloads are the RTP payload types of RFC 3551, with which these codecs need no rtpmap.
var staticPayloads = map[string]uint8{"PCMU": 0, "PCMA": 8, "G722": 9}

func newCodec(name string) Codec {
	switch name {
	case "PCMU":
		return companded{g711.EncodeUlawFrame, g711.DecodeUlawFrame}
	case "PCMA":
		return companded{g711.EncodeAlawFrame, g711.DecodeAlawFrame}
	case "G722":
		return &wideband{encoder: g722.NewEncoder(g722.Rate64000, g722.FlagSampleRate8000), decoder: g722.NewDecoder(g722.Rate64000, g722.FlagSampleRate8000)}
	}
	panic("no codec " + name)
}

type companded struct {
	compress func(int16) uint8
	expand   func(uint8) int16
}

func (c companded) Encode(samples []int16) []byte {
	payload := make([]byte, len(samples))
	for i, sample := range samples {
		payload[i] = c.compress(sample)
	}
	return payload
}

func (c companded) Decode(payload []byte) []int16 {
	samples := make([]int16, len(payload))
	for i, code := range payload {
		samples[i] = c.expand(code)
	}
	return samples
}

// wideband is G.722, of which a phone uses the lower half of the band: 8 kHz in and out, while the line carries 16 kHz.
type wideband struct {
	encoder *g722.Encoder
	decoder *g722.Decoder
}

func (w *wideband) Encode(samples []int16) []byte {
	payload := make([]byte, len(samples))
	return payload[:w.encoder.Encode(payload, samples)]
}

func (w *wideband) Decode(payload []byte) []int16 {
	samples := make([]int16, len(payload))
	return samples[:w.decoder.Decode(samples, payload)]
}

// readWAV reads what a phone plays: 8 kHz, 16 bit, mono, and nothing else, so that no hidden conversion colours a measurement.
func readWAV(path string) ([]int16, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	decoder := wav.NewDecoder(file)
	buffer, err := decoder.FullPCMBuffer()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if decoder.SampleRate != sampleRate || decoder.BitDepth != 16 || decoder.NumChans != 1 {
		return nil, fmt.Errorf("%s: must be 8000 Hz, 16 bit, 1 channel, but is %d Hz, %d bit, %d channels",
			path, decoder.SampleRate, decoder.BitDepth, decoder.NumChans)
	}
	samples := make([]int16, len(buffer.Data))
	for i, value := range buffer.Data {
		samples[i] = int16(value)
	}
	return samples, nil
}

// tone is a sine at a comfortable level, with short ramps so that it does not click.
func tone(hz int, length time.Duration) []int16 {
	const level, ramp = 8000.0, 40
	samples := make([]int16, int(length.Seconds()*sampleRate))
	for i := range samples {
		gain := min(1, float64(i)/ramp, float64(len(samples)-i)/ramp)
		samples[i] = int16(level * gain * math.Sin(2*math.Pi*float64(hz)*float64(i)/sampleRate))
	}
	return samples
}
