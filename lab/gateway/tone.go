package main

// tone.go answers: what does somebody hear who waits for a phone to be answered? The ringing tone of ETSI TR 101 041:
// 425 Hz, one second in five.

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/livekit/protocol/rpc"
)

const (
	toneHz     = 425
	toneLevel  = 4000
	toneOn     = time.Second
	tonePeriod = 5 * time.Second
)

// ringback is the tone as a stream of samples.
type ringback struct {
	rate     int
	position int
}

func (r *ringback) next() int16 {
	at := r.position
	r.position = (r.position + 1) % (r.rate * int(tonePeriod/time.Second))
	if at >= r.rate*int(toneOn/time.Second) {
		return 0
	}
	return int16(toneLevel * math.Sin(2*math.Pi*toneHz*float64(at)/float64(r.rate)))
}

// mixInto implements source: the tone as the phone hears it. The frame's length tells the sampling rate.
func (r *ringback) mixInto(mix []int32, _ time.Time) {
	r.rate = len(mix) * framesASecond
	for i := range mix {
		mix[i] += int32(r.next())
	}
}

// ringbackFor plays the tone in the room, if the request wants it, until the returned function is called.
func (c *call) ringbackFor(req *rpc.InternalCreateSIPParticipantRequest) (stop func()) {
	if req.Dialtone == livekit.SIPDialtone_SIP_DIALTONE_DISABLED {
		return func() {}
	}
	return c.media.playUp(&ringback{rate: rtpClock})
}

// playUp feeds a tone to the room as if the phone made it.
func (m *media) playUp(tone *ringback) (stop func()) {
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		ticker := time.NewTicker(frameDuration)
		defer ticker.Stop()
		stream, timestamp := rand.Uint32(), rand.Uint32()
		frame := make([]int16, rtpFrame)
		for {
			select {
			case <-done:
				return
			case <-m.ctx.Done():
				return
			case now := <-ticker.C:
				for i := range frame {
					frame[i] = tone.next()
				}
				if err := m.up.push(frame, rtpClock, stream, timestamp, false, now); err != nil {
					m.log.Debug("ringing tone", "error", err)
				}
				timestamp += uint32(rtpFrame)
			}
		}
	}()
	return func() {
		close(done)
		<-finished
	}
}
