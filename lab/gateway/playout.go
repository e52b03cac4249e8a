package main

// playout.go answers: when is each sample that arrives from the room played to the phone? One playout holds what one
// track sent ahead of time: as little as the arrival times allow, growing when packets come late, shrinking again.

import (
	"sync"
	"time"

	"github.com/pion/rtp"
	"gopkg.in/hraban/opus.v2"
)

const (
	leastDelay    = 30 * time.Millisecond // between the first packet after a pause and its sound
	mostDelay     = 120 * time.Millisecond
	delayStep     = 10 * time.Millisecond
	trimSoon      = 4
	trimAfter     = framesASecond        // pulls during which the buffer never ran low, before it is shortened
	opusClock     = 48000                // RTP clock of Opus, whatever the sampling rate
	longestOpus   = opusClock * 12 / 100 // an Opus packet holds 120 ms at most
	mostConcealed = 5                    // lost packets in a row that are filled in; beyond that it is a pause
)

// playout buffers one track of the room, decoded at the phone's sampling rate.
type playout struct {
	rate    int
	decoder *opus.Decoder
	scratch []int16

	mu       sync.Mutex
	samples  []int16
	playing  bool
	startAt  time.Time
	delay    time.Duration
	low      int // least left in the buffer after a pull, since the last trim
	pulls    int
	onTime   int // pulls since the last late packet
	started  bool
	nextTime uint32 // RTP timestamp that follows what was pushed
	nextSeq  uint16
}

func newPlayout(rate int) (*playout, error) {
	decoder, err := opus.NewDecoder(rate, 1)
	if err != nil {
		return nil, err
	}
	return &playout{rate: rate, decoder: decoder, scratch: make([]int16, rate*12/100), delay: leastDelay}, nil
}

// push takes the next packet of the track, in order.
func (p *playout) push(packet *rtp.Packet, now time.Time) {
	if len(packet.Payload) == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if lost := packet.SequenceNumber - p.nextSeq; p.started && lost > 0 && lost <= mostConcealed {
		p.conceal(int(lost), packet.Timestamp-p.nextTime)
	}
	n, err := p.decoder.Decode(packet.Payload, p.scratch)
	if err != nil {
		return
	}
	follows := p.started && packet.Timestamp == p.nextTime
	p.started, p.nextSeq = true, packet.SequenceNumber+1
	p.nextTime = packet.Timestamp + uint32(n*opusClock/p.rate)
	if len(p.samples) == 0 && !p.playing {
		if follows && p.onTime > 0 {
			// It belongs directly behind what was played, so it came too late: keep more from now on.
			p.delay, p.onTime = min(p.delay+delayStep, mostDelay), 0
		}
		p.startAt = now.Add(p.delay)
	}
	p.samples = append(p.samples, p.scratch[:n]...)
	if longest := p.rate; len(p.samples) > longest {
		p.samples = append(p.samples[:0], p.samples[len(p.samples)-longest/2:]...)
	}
}

// conceal fills in for lost packets, as far as they cover the time that is missing.
func (p *playout) conceal(lost int, missing uint32) {
	samples := int(missing) * p.rate / opusClock
	if missing > longestOpus || samples <= 0 {
		return
	}
	fill := p.scratch[:samples/lost]
	for range lost {
		if p.decoder.DecodePLC(fill) != nil {
			return
		}
		p.samples = append(p.samples, fill...)
	}
}

// mixInto adds one frame of this track, if it is time to play one.
func (p *playout) mixInto(mix []int32, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.playing {
		if len(p.samples) == 0 || now.Before(p.startAt) {
			return
		}
		p.playing, p.low, p.pulls = true, len(p.samples), 0
	}
	p.trim(len(mix))
	n := min(len(mix), len(p.samples))
	for i, sample := range p.samples[:n] {
		mix[i] += int32(sample)
	}
	p.samples = append(p.samples[:0], p.samples[n:]...)
	if n < len(mix) {
		p.playing = false
		return
	}
	p.low = min(p.low, len(p.samples))
	p.pulls++
	p.onTime++
	if p.onTime%(10*framesASecond) == 0 {
		p.delay = max(p.delay-delayStep, leastDelay)
	}
}

// trim shortens a buffer that has long held more than it needs, by fading one frame over into the next. Where it holds
// far too much, since many packets came at once, it does so more often: speech is then played faster by a quarter.
func (p *playout) trim(frame int) {
	spare := int(p.delay.Seconds() * float64(p.rate))
	if p.pulls < trimAfter && (p.pulls < trimSoon || p.low < spare+3*frame) {
		return
	}
	if p.low > spare && len(p.samples) >= 2*frame {
		for i := range frame {
			p.samples[frame+i] = int16((int(p.samples[i])*(frame-i) + int(p.samples[frame+i])*i) / frame)
		}
		p.samples = append(p.samples[:0], p.samples[frame:]...)
	}
	p.low, p.pulls = len(p.samples), 0
}
