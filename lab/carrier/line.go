package main

// How does sound reach a phone and leave it? A Line is the media side of one call: it sends a frame every 20 ms whether or not there
// is something to say, takes what arrives, and keeps both on the recording's clock.

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/pion/rtp"
)

// RTPStats counts the packets of one call.
type RTPStats struct {
	Received int `json:"received"`
	Sent     int `json:"sent"`
	Lost     int `json:"lost"`
}

// An utterance is sound, or one key, that waits its turn on the line.
type utterance struct {
	samples []int16
	key     byte
	ticks   int
	spoken  chan struct{}
}

// A Line is used by one call; Close ends it.
type Line struct {
	Ears   Detector
	Keypad Keypad

	conn      *net.UDPConn
	mute      bool
	queue     chan *utterance
	closing   context.CancelFunc
	ended     sync.WaitGroup
	close     sync.Once
	agreement *Agreement
	encoder   Codec

	mu        sync.Mutex
	sent      int
	arrivals  arrivals
	recording *Recording
	answered  time.Time
	said      int // place of the next frame that is said, in samples since the answer; -1 before it
}

func openLine(host string, mute bool) (*Line, error) {
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.ParseIP(host)})
	if err != nil {
		return nil, err
	}
	return &Line{conn: conn, mute: mute, queue: make(chan *utterance), said: -1}, nil
}

// Address is where the line hears.
func (l *Line) Address() *net.UDPAddr { return l.conn.LocalAddr().(*net.UDPAddr) }

// Start sends and hears from now on; a second call is without effect.
func (l *Line) Start(agreement *Agreement) {
	if l.closing != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	l.agreement, l.encoder, l.closing = agreement, newCodec(agreement.Codec), cancel
	l.ended.Go(func() { l.talk(ctx) })
	l.ended.Go(l.listen)
}

// Record starts the recording's clock at the answer.
func (l *Line) Record(recording *Recording, answered time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.recording, l.answered = recording, answered
}

// Play says samples after all that was queued before, and returns when they are said.
func (l *Line) Play(ctx context.Context, samples []int16) error {
	return l.utter(ctx, &utterance{samples: samples, spoken: make(chan struct{})})
}

// Press presses keys one after the other.
func (l *Line) Press(ctx context.Context, keys string) error {
	if l.agreement.DTMFType == 0 {
		return errors.New("the other side takes no telephone-event")
	}
	for i := range len(keys) {
		if err := l.utter(ctx, &utterance{key: keys[i], spoken: make(chan struct{})}); err != nil {
			return err
		}
	}
	return nil
}

func (l *Line) utter(ctx context.Context, u *utterance) error {
	select {
	case l.queue <- u:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-u.spoken:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// talk is the only sender. Each frame is due at a multiple of 20 ms after the first, so lateness does not add up.
func (l *Line) talk(ctx context.Context) {
	header := rtp.Header{
		Version: 2, Marker: true, PayloadType: l.agreement.PayloadType, SSRC: rand.Uint32(),
		SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32(),
	}
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var current *utterance
	for tick := time.Duration(1); ; tick++ {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		if current == nil {
			select {
			case current = <-l.queue:
			default:
			}
		}
		current = l.sendFrame(&header, current)
		header.Timestamp += frameSamples
		timer.Reset(time.Until(start.Add(tick * frameLength)))
	}
}

// sendFrame sends the next 20 ms and answers the utterance that goes on, if one does.
func (l *Line) sendFrame(header *rtp.Header, u *utterance) *utterance {
	frame := make([]int16, frameSamples)
	switch {
	case u == nil:
		l.send(header, l.encoder.Encode(frame))
	case u.key != 0 && u.ticks < dtmfFrames:
		l.sendEvent(*header, u)
		header.SequenceNumber += uint16(eventPackets(u.ticks))
		u.ticks++
	case u.key != 0:
		l.send(header, l.encoder.Encode(frame))
		if u.ticks++; u.ticks == dtmfFrames+dtmfGapFrames {
			close(u.spoken)
			u = nil
		}
	default:
		u.samples = u.samples[copy(frame, u.samples):]
		l.send(header, l.encoder.Encode(frame))
		if len(u.samples) == 0 {
			close(u.spoken)
			u = nil
		}
	}
	l.remember(frame)
	return u
}

func (l *Line) remember(frame []int16) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recording == nil {
		return
	}
	if l.said < 0 {
		l.said = l.sinceAnswer(time.Now())
	}
	if l.mute {
		clear(frame)
	}
	l.keep(saidChannel, l.said, frame)
	l.said += frameSamples
}

func (l *Line) sinceAnswer(now time.Time) int { return int(now.Sub(l.answered).Seconds() * sampleRate) }

func eventPackets(tick int) int {
	if tick == dtmfFrames-1 {
		return dtmfEndRepeats
	}
	return 1
}

// sendEvent sends one packet of a key's event, and the last one three times; all carry the timestamp of the first.
func (l *Line) sendEvent(header rtp.Header, u *utterance) {
	header.PayloadType = l.agreement.DTMFType
	header.Marker = u.ticks == 0
	header.Timestamp -= uint32(u.ticks * frameSamples)
	for range eventPackets(u.ticks) {
		l.send(&header, eventPayload(u.key, (u.ticks+1)*frameSamples, u.ticks == dtmfFrames-1))
	}
}

func (l *Line) send(header *rtp.Header, payload []byte) {
	if l.mute {
		return
	}
	packet := rtp.Packet{Header: *header, Payload: payload}
	data, err := packet.Marshal()
	if err == nil {
		_, err = l.conn.WriteToUDP(data, l.agreement.Remote)
	}
	header.SequenceNumber++
	header.Marker = false
	if err != nil {
		slog.Debug("RTP not sent", "error", err) // as on a real line, the call goes on
		return
	}
	l.mu.Lock()
	l.sent++
	l.mu.Unlock()
}

// listen is the only receiver; it ends when the socket is closed.
func (l *Line) listen() {
	decoder := newCodec(l.agreement.Codec)
	buffer := make([]byte, 2048)
	for {
		n, _, err := l.conn.ReadFromUDP(buffer)
		now := time.Now()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		var packet rtp.Packet
		if err != nil || packet.Unmarshal(buffer[:n]) != nil || packet.Version != 2 {
			continue
		}
		l.mu.Lock()
		l.arrivals.count(&packet.Header)
		l.mu.Unlock()
		switch packet.PayloadType {
		case l.agreement.PayloadType:
			l.hear(&packet, decoder.Decode(packet.Payload), now)
		case l.agreement.DTMFType:
			l.Keypad.Hear(&packet)
		}
	}
}

func (l *Line) hear(packet *rtp.Packet, samples []int16, now time.Time) {
	l.Ears.Hear(samples, now)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recording != nil {
		arrived := l.sinceAnswer(now) - len(samples)
		l.keep(heardChannel, l.arrivals.place(&packet.Header, arrived), samples)
	}
}

func (l *Line) keep(channel, at int, samples []int16) {
	if err := l.recording.Put(channel, at, samples); err != nil {
		slog.Error("recording stopped", "error", err)
		l.recording = nil
	}
}

// Stats are the packets so far.
func (l *Line) Stats() RTPStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return RTPStats{Received: l.arrivals.received, Sent: l.sent, Lost: l.arrivals.lost()}
}

// Close ends both directions and the recording; it is safe to repeat.
func (l *Line) Close() (err error) {
	l.close.Do(func() { err = l.end() })
	return err
}

func (l *Line) end() error {
	err := l.conn.Close()
	if l.closing != nil {
		l.closing()
	}
	l.ended.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.recording != nil {
		err = errors.Join(err, l.recording.Close())
		l.recording = nil
	}
	return err
}
