package main

// What did the phone hear, and what did it say? One stereo WAV a call, both sides on one clock that starts at the answer.

import (
	"errors"
	"os"
	"sync"

	"github.com/go-audio/audio"
	"github.com/go-audio/wav"
)

const (
	heardChannel = 0
	saidChannel  = 1
	settleTime   = 2 * sampleRate // samples kept in memory for packets that come late
)

// A Recording takes sound at its place in time and writes it once no more is expected there.
type Recording struct {
	mu      sync.Mutex
	file    *os.File
	encoder *wav.Encoder
	written int        // samples already in the file, of each channel
	pending [2][]int16 // samples from written on
}

func newRecording(path string) (*Recording, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &Recording{file: file, encoder: wav.NewEncoder(file, sampleRate, 16, 2, 1)}, nil
}

// Put lays samples at a place that is counted in samples from the answer on. What belongs before the answer is left out.
func (r *Recording) Put(channel, at int, samples []int16) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	at -= r.written
	if at < 0 {
		samples = samples[min(-at, len(samples)):]
		at = 0
	}
	if len(samples) == 0 {
		return nil
	}
	if grown := at + len(samples) - len(r.pending[channel]); grown > 0 {
		r.pending[channel] = append(r.pending[channel], make([]int16, grown)...)
	}
	copy(r.pending[channel][at:], samples)
	if longest := max(len(r.pending[0]), len(r.pending[1])); longest > 2*settleTime {
		return r.write(longest - settleTime)
	}
	return nil
}

func (r *Recording) write(n int) error {
	buffer := &audio.IntBuffer{Format: &audio.Format{NumChannels: 2, SampleRate: sampleRate}, SourceBitDepth: 16, Data: make([]int, 2*n)}
	for channel, samples := range r.pending {
		taken := min(n, len(samples))
		for i, sample := range samples[:taken] {
			buffer.Data[2*i+channel] = int(sample)
		}
		r.pending[channel] = append([]int16(nil), samples[taken:]...)
	}
	r.written += n
	return r.encoder.Write(buffer)
}

// Close writes the rest; the file is whole afterwards.
func (r *Recording) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	err := r.write(max(len(r.pending[0]), len(r.pending[1])))
	err = errors.Join(err, r.encoder.Close(), r.file.Close())
	r.file = nil
	return err
}
