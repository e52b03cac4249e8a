package main

// What did the phone hear, and what did it say? One stereo WAV a call, both sides on one clock that starts at the answer.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"sync"
)

const (
	heardChannel = 0
	saidChannel  = 1
	settleTime   = sampleRate / 2 // samples kept in memory for packets that come late
)

// wavHeader is that of 16 bit stereo; its sizes are known when the recording ends.
type wavHeader struct {
	RIFF       [4]byte
	Size       uint32
	WAVE, Fmt  [4]byte
	FmtSize    uint32
	Format     uint16
	Channels   uint16
	SampleRate uint32
	ByteRate   uint32
	BlockAlign uint16
	BitDepth   uint16
	Data       [4]byte
	DataSize   uint32
}

func newWAVHeader(samples int) wavHeader {
	const frame = 2 * 2
	size := uint32(samples * frame)
	return wavHeader{
		RIFF: [4]byte([]byte("RIFF")), Size: 36 + size, WAVE: [4]byte([]byte("WAVE")), Fmt: [4]byte([]byte("fmt ")), FmtSize: 16, Format: 1,
		Channels: 2, SampleRate: sampleRate, ByteRate: sampleRate * frame, BlockAlign: frame, BitDepth: 16,
		Data: [4]byte([]byte("data")), DataSize: size,
	}
}

// A Recording takes sound at its place in time and writes it once no more is expected there.
type Recording struct {
	mu      sync.Mutex
	file    *os.File
	written int        // samples already in the file, of each channel
	pending [2][]int16 // samples from written on
}

func newRecording(path string) (*Recording, error) {
	file, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &Recording{file: file}, binary.Write(file, binary.LittleEndian, newWAVHeader(0))
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
	both := make([]int16, 2*n)
	for channel, samples := range r.pending {
		taken := min(n, len(samples))
		for i, sample := range samples[:taken] {
			both[2*i+channel] = sample
		}
		r.pending[channel] = append([]int16(nil), samples[taken:]...)
	}
	r.written += n
	var data bytes.Buffer
	if err := binary.Write(&data, binary.LittleEndian, both); err != nil {
		return err
	}
	_, err := r.file.Write(data.Bytes())
	return err
}

// Close writes the rest; the file is whole afterwards.
func (r *Recording) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return nil
	}
	err := r.write(max(len(r.pending[0]), len(r.pending[1])))
	if err == nil {
		_, err = r.file.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = binary.Write(r.file, binary.LittleEndian, newWAVHeader(r.written))
	}
	err = errors.Join(err, r.file.Close())
	r.file = nil
	return err
}
