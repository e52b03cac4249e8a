package main

// media.go answers: what goes over the RTP socket of one call? It reads the phone's packets, and sends it one packet
// every 20 ms by one clock, from the first answer until the end: the sum of the room's tracks, or a key press.

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/livekit/media-sdk/jitter"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

const (
	reorderWait = 40 * time.Millisecond  // for a packet that others have overtaken
	stallLimit  = 200 * time.Millisecond // a clock that is later than this skips frames instead of sending a burst
)

// source is something that can be heard on the phone.
type source interface {
	mixInto(mix []int32, now time.Time)
}

// media is the sound of one call.
type media struct {
	log    *slog.Logger
	socket *net.UDPConn
	local  netip.AddrPort
	up     *uplink
	onKey  func(code uint8)

	ctx     context.Context
	stop    context.CancelFunc
	workers sync.WaitGroup

	mu      sync.Mutex
	agreed  agreedAudio
	sending bool
	sources map[source]struct{}
	keys    keypad
}

// newMedia binds an RTP socket at the given address. What the phone says goes to the track, its key presses to onKey.
func newMedia(ip netip.Addr, track trackWriter, onKey func(code uint8), log *slog.Logger) (*media, error) {
	socket, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(ip, 0)))
	if err != nil {
		return nil, fmt.Errorf("rtp socket: %w", err)
	}
	m := &media{
		log: log, socket: socket, local: socket.LocalAddr().(*net.UDPAddr).AddrPort(),
		up: newUplink(track), onKey: onKey, sources: map[source]struct{}{},
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.work(m.receive)
	return m, nil
}

// work runs something for as long as there is sound.
func (m *media) work(do func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ctx.Err() == nil {
		m.workers.Go(do)
	}
}

// close ends all sound. It waits for the workers, so it must not be called by one of them.
func (m *media) close() {
	m.mu.Lock()
	m.stop()
	m.mu.Unlock()
	_ = m.socket.Close()
	m.workers.Wait()
}

// expect tells what the phone may send before the call is answered.
func (m *media) expect(agreed agreedAudio) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.agreed = agreed
}

// start begins to send what was agreed, or goes on with what was agreed anew.
func (m *media) start(agreed agreedAudio) {
	m.mu.Lock()
	already := m.sending
	m.agreed, m.sending = agreed, true
	m.mu.Unlock()
	if !already {
		m.work(m.send)
	}
}

// now is what is agreed at present, and whether we send.
func (m *media) now() (agreedAudio, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.agreed, m.sending
}

func (m *media) add(s source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sources[s] = struct{}{}
}

func (m *media) remove(s source) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.sources, s)
}

// press sends a key press to the phone.
func (m *media) press(code uint8) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys.press(code)
}

func (m *media) pressAll(digits string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.keys.pressAll(digits)
}

// --- from the phone ---

// audioPackets tells the reordering buffer that every packet stands for itself.
type audioPackets struct{}

func (audioPackets) Unmarshal(packet []byte) ([]byte, error) { return packet, nil }
func (audioPackets) IsPartitionHead([]byte) bool             { return true }
func (audioPackets) IsPartitionTail(bool, []byte) bool       { return true }

func (m *media) receive() {
	var (
		presses  keypresses
		decoders = map[uint8]audioDecoder{}
		stream   uint32
		ordered  *jitter.Buffer
	)
	play := func(packets []jitter.ExtPacket) {
		for _, p := range packets {
			m.hear(p.Packet, decoders)
		}
	}
	defer func() {
		if ordered != nil {
			ordered.Close()
		}
	}()
	buffer := make([]byte, 1500)
	for {
		// Any source port will do: phones behind NAT, and some that are not, send from another than they listen on.
		n, _, err := m.socket.ReadFromUDPAddrPort(buffer)
		if err != nil {
			if errors.Is(err, net.ErrClosed) || m.ctx.Err() != nil {
				return
			}
			continue // an ICMP error from an earlier packet: the phone may not listen yet
		}
		packet := &rtp.Packet{}
		if packet.Unmarshal(append([]byte(nil), buffer[:n]...)) != nil || packet.Version != 2 {
			continue
		}
		agreed, _ := m.now()
		switch {
		case packet.PayloadType == m.eventsFrom(agreed):
			if code, ok := presses.read(packet.Timestamp, packet.Payload); ok {
				m.onKey(code)
			}
		case packet.PayloadType != comfortPayload:
			if ordered == nil || packet.SSRC != stream {
				if ordered != nil {
					ordered.Close()
				}
				ordered, stream = jitter.NewBuffer(audioPackets{}, reorderWait, play), packet.SSRC
			}
			ordered.Push(packet)
		}
	}
}

// eventsFrom is the payload type of the phone's key presses: as agreed, or as we offered it.
func (m *media) eventsFrom(agreed agreedAudio) uint8 {
	if agreed.codec.name != "" && agreed.events != noEvents {
		return agreed.events
	}
	return eventPayload
}

// hear decodes one packet of the phone. It is called for one packet at a time.
func (m *media) hear(packet *rtp.Packet, decoders map[uint8]audioDecoder) {
	format, ok := m.format(packet.PayloadType)
	if !ok || len(packet.Payload) == 0 {
		return
	}
	decode := decoders[packet.PayloadType]
	if decode == nil {
		decode = format.decoder()
		decoders[packet.PayloadType] = decode
	}
	if err := m.up.push(decode(packet.Payload), format.rate, packet.SSRC, packet.Timestamp, packet.Marker, time.Now()); err != nil {
		m.log.Debug("phone audio dropped", "error", err)
	}
}

// format finds the codec of a payload type; a phone may use any that was offered, whatever was agreed.
func (m *media) format(payload uint8) (codec, bool) {
	agreed, _ := m.now()
	if agreed.codec.name != "" && payload == agreed.payload {
		return agreed.codec, true
	}
	for _, c := range codecs {
		if c.payload == payload {
			return c, true
		}
	}
	return codec{}, false
}

// --- to the phone ---

// listen plays a track of the room until it ends.
func (m *media) listen(track *webrtc.TrackRemote) {
	m.work(func() {
		line := &downlink{media: m}
		defer line.close()
		ordered := jitter.NewBuffer(audioPackets{}, reorderWait, line.play)
		defer ordered.Close()
		stopped := context.AfterFunc(m.ctx, func() { _ = track.SetReadDeadline(time.Now()) })
		defer stopped()
		for m.ctx.Err() == nil {
			packet, _, err := track.ReadRTP()
			if err != nil {
				return
			}
			ordered.Push(packet)
		}
	})
}

// downlink feeds one track of the room to the phone, at the rate of the phone's codec of the moment.
type downlink struct {
	media *media

	mu      sync.Mutex
	current *playout
	closed  bool
}

func (l *downlink) play(packets []jitter.ExtPacket) {
	agreed, sending := l.media.now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !sending || l.closed {
		return
	}
	if l.current == nil || l.current.rate != agreed.codec.rate {
		fresh, err := newPlayout(agreed.codec.rate)
		if err != nil {
			l.media.log.Error("opus decoder", "error", err)
			return
		}
		if l.current != nil {
			l.media.remove(l.current)
		}
		l.current = fresh
		l.media.add(fresh)
	}
	for _, packet := range packets {
		l.current.push(packet.Packet, time.Now())
	}
}

func (l *downlink) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.current != nil {
		l.media.remove(l.current)
	}
}

// sender is the state of the stream to the phone.
type sender struct {
	header  rtp.Header
	agreed  agreedAudio
	encode  audioEncoder
	mix     []int32
	pcm     []int16
	talking bool
}

// send paces the stream to the phone by one clock that never drifts: frame n is sent n*20 ms after the first.
func (m *media) send() {
	s := &sender{header: rtp.Header{
		Version: 2, SSRC: rand.Uint32(), SequenceNumber: uint16(rand.Uint32()), Timestamp: rand.Uint32(),
	}}
	next := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-timer.C:
		}
		if late := time.Since(next); late > stallLimit {
			skipped := late / frameDuration
			next = next.Add(skipped * frameDuration)
			s.header.Timestamp += uint32(skipped) * rtpFrame
		}
		m.sendFrame(s, next)
		s.header.Timestamp += rtpFrame
		next = next.Add(frameDuration)
		timer.Reset(time.Until(next))
	}
}

func (m *media) sendFrame(s *sender, now time.Time) {
	m.mu.Lock()
	agreed := m.agreed
	if agreed.codec != s.agreed.codec || s.encode == nil {
		s.encode = agreed.codec.encoder()
		s.mix = make([]int32, agreed.codec.frameSamples())
		s.pcm = make([]int16, agreed.codec.frameSamples())
	}
	s.agreed = agreed
	clear(s.mix)
	for source := range m.sources {
		source.mixInto(s.mix, now)
	}
	press, pressed := m.keys.next(s.header.Timestamp)
	m.mu.Unlock()
	if !agreed.listens {
		return
	}
	if pressed && agreed.events != noEvents {
		s.talking = false
		header := s.header
		header.PayloadType, header.Timestamp, header.Marker = agreed.events, press.timestamp, press.marker
		for range press.repeats {
			m.write(s, header, press.payload)
			header.SequenceNumber = s.header.SequenceNumber
			header.Marker = false
		}
		return
	}
	for i, sum := range s.mix {
		s.pcm[i] = int16(min(max(sum, math.MinInt16), math.MaxInt16))
	}
	header := s.header
	header.PayloadType, header.Marker = agreed.payload, !s.talking
	s.talking = true
	m.write(s, header, s.encode(s.pcm))
}

func (m *media) write(s *sender, header rtp.Header, payload []byte) {
	s.header.SequenceNumber++
	data, err := (&rtp.Packet{Header: header, Payload: payload}).Marshal()
	if err != nil {
		m.log.Error("rtp", "error", err)
		return
	}
	if _, err := m.socket.WriteToUDPAddrPort(data, s.agreed.remote); err != nil && m.ctx.Err() == nil {
		m.log.Debug("rtp not sent", "error", err)
	}
}
