package main

// uplink.go answers: how does what the phone says become an Opus track in the room? Packet by packet, as it arrives,
// with the phone's own timestamps: the listener's jitter buffer does the waiting, so that it is done only once.

import (
	"math"
	"sync"
	"time"

	"github.com/pion/rtp"
	"gopkg.in/hraban/opus.v2"
)

const (
	clockRatio  = opusClock / rtpClock
	opusFrame   = opusClock / framesASecond
	opusBitrate = 32000
	mostSkew    = time.Second            // between the phone's timestamps and the wall clock, before we stop believing them
	shortPause  = 100 * time.Millisecond // a packet that starts speech after more than this may belong to a clock that stood still
	silentLevel = uint8(127)
)

// trackWriter is where the packets go.
type trackWriter interface {
	write(packet *rtp.Packet, level uint8) error
}

// uplink turns PCM with the phone's timestamps into Opus packets.
type uplink struct {
	mu      sync.Mutex
	out     trackWriter
	encoder *opus.Encoder
	rate    int
	buffer  [1500]byte

	pending  []int16 // less than a frame
	source   uint32
	expected uint32 // the phone's timestamp of the next sample
	started  bool
	sequence uint16
	time     uint32 // our timestamp of the first pending sample
	lastAt   time.Time
	marker   bool
}

func newUplink(out trackWriter) *uplink { return &uplink{out: out} }

// push takes PCM that begins at the given RTP timestamp (8 kHz clock) of the given source. A marker starts speech.
func (u *uplink) push(pcm []int16, rate int, source, timestamp uint32, marker bool, now time.Time) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.prepare(rate); err != nil {
		return err
	}
	u.align(source, timestamp, marker, now)
	u.pending = append(u.pending, pcm...)
	u.expected = timestamp + uint32(len(pcm)*rtpClock/rate)
	u.lastAt = now
	frame := rate / framesASecond
	for len(u.pending) >= frame {
		if err := u.emit(u.pending[:frame]); err != nil {
			return err
		}
		u.pending = append(u.pending[:0], u.pending[frame:]...)
	}
	return nil
}

func (u *uplink) prepare(rate int) error {
	if u.encoder != nil && u.rate == rate {
		return nil
	}
	encoder, err := opus.NewEncoder(rate, 1, opus.AppVoIP)
	if err != nil {
		return err
	}
	if err := encoder.SetBitrate(opusBitrate); err != nil {
		return err
	}
	u.encoder, u.rate, u.pending = encoder, rate, nil
	return nil
}

// align moves our clock on to where the phone's next samples belong.
func (u *uplink) align(source, timestamp uint32, marker bool, now time.Time) {
	gap := timestamp - u.expected
	elapsed := now.Sub(u.lastAt)
	// Some phones stop their clock while they say nothing.
	paused := elapsed > mostSkew || (marker && elapsed > shortPause)
	if u.started && source == u.source && gap == 0 && !paused {
		return
	}
	passed := uint32(elapsed.Seconds()*opusClock) / opusFrame * opusFrame
	if u.started {
		claimed := time.Duration(int32(gap)) * time.Second / rtpClock
		if source == u.source && claimed > 0 && (claimed-elapsed).Abs() < mostSkew {
			passed = gap * clockRatio
		}
	}
	if len(u.pending) > 0 {
		// A frame that was cut off by a loss: end it in silence rather than join it to what comes later.
		frame := append(u.pending, make([]int16, u.rate/framesASecond-len(u.pending))...)
		u.pending = u.pending[:0]
		_ = u.emit(frame)
	}
	u.marker = !u.started || passed > 5*opusFrame
	u.started, u.source = true, source
	u.time += passed
}

func (u *uplink) emit(frame []int16) error {
	n, err := u.encoder.Encode(frame, u.buffer[:])
	if err != nil {
		return err
	}
	packet := &rtp.Packet{
		Header:  rtp.Header{Version: 2, Marker: u.marker, SequenceNumber: u.sequence, Timestamp: u.time},
		Payload: append([]byte(nil), u.buffer[:n]...),
	}
	u.sequence++
	u.time += opusFrame
	u.marker = false
	return u.out.write(packet, audioLevel(frame))
}

// audioLevel is the loudness of a frame in -dBov (RFC 6464); the server finds out from it who is speaking.
func audioLevel(frame []int16) uint8 {
	var sum float64
	for _, sample := range frame {
		sum += float64(sample) * float64(sample)
	}
	if sum == 0 {
		return silentLevel
	}
	level := -20 * math.Log10(math.Sqrt(sum/float64(len(frame)))/math.MaxInt16)
	return uint8(min(max(level, 0), float64(silentLevel)))
}
