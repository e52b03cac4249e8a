package main

// codec.go answers: how does 20 ms of sound become the bytes of a telephone codec, and back?

import (
	"strings"
	"time"

	"github.com/gotranspile/g722"
	"github.com/zaf/g711"
)

const (
	frameDuration  = time.Second / framesASecond
	framesASecond  = 50
	rtpClock       = 8000 // of all three codecs: G.722 samples at 16 kHz but keeps 8000 by a slip in RFC 1890
	rtpFrame       = rtpClock / framesASecond
	eventPayload   = uint8(101)
	comfortPayload = uint8(13)
)

// codec is one of the telephone network's audio formats.
type codec struct {
	name    string
	payload uint8 // static payload type
	rate    int   // samples a second
}

// codecs are those we speak, best first.
var codecs = []codec{{"G722", 9, 16000}, {"PCMU", 0, 8000}, {"PCMA", 8, 8000}}

func codecNamed(name string) (codec, bool) {
	for _, c := range codecs {
		if strings.EqualFold(c.name, name) {
			return c, true
		}
	}
	return codec{}, false
}

func (c codec) frameSamples() int { return c.rate / framesASecond }

// audioEncoder turns PCM into payload bytes; it may keep state between frames.
type audioEncoder func(pcm []int16) []byte

// audioDecoder turns payload bytes into PCM; the result is valid until the next call.
type audioDecoder func(payload []byte) []int16

func (c codec) encoder() audioEncoder {
	var out []byte
	if c.name == "G722" {
		state := g722.NewEncoder(g722.Rate64000, 0)
		return func(pcm []int16) []byte {
			out = grown(out, len(pcm)/2)
			return out[:state.Encode(out, pcm)]
		}
	}
	law := g711.EncodeUlawFrame
	if c.name == "PCMA" {
		law = g711.EncodeAlawFrame
	}
	return func(pcm []int16) []byte {
		out = grown(out, len(pcm))
		for i, sample := range pcm {
			out[i] = law(sample)
		}
		return out
	}
}

func (c codec) decoder() audioDecoder {
	var out []int16
	if c.name == "G722" {
		state := g722.NewDecoder(g722.Rate64000, 0)
		return func(payload []byte) []int16 {
			out = grown(out, len(payload)*2)
			return out[:state.Decode(out, payload)]
		}
	}
	law := g711.DecodeUlawFrame
	if c.name == "PCMA" {
		law = g711.DecodeAlawFrame
	}
	return func(payload []byte) []int16 {
		out = grown(out, len(payload))
		for i, b := range payload {
			out[i] = law(b)
		}
		return out
	}
}

// grown returns a slice of n elements, reusing the given one where it is large enough.
func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}
