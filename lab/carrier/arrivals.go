package main

// Which packets arrived, which were lost, and where in time does each belong? The bookkeeping of one received RTP stream.

import "github.com/pion/rtp"

// resyncSamples is how far a stream's own clock may run from the wall clock before it is believed to have jumped.
const resyncSamples = sampleRate / 5

type arrivals struct {
	received    int
	earlierLost int // of streams (SSRC) that another one has replaced
	expected    int
	inStream    int
	ssrc        uint32
	highest     uint16
	anchored    bool
	anchor      int    // place of the packet that has the timestamp anchorTime
	anchorTime  uint32 // RTP timestamp
}

// count notes a packet in arrival order.
func (a *arrivals) count(header *rtp.Header) {
	if a.received == 0 || header.SSRC != a.ssrc {
		a.earlierLost = a.lost()
		a.ssrc, a.highest, a.expected, a.inStream, a.anchored = header.SSRC, header.SequenceNumber, 1, 0, false
	} else if ahead := int16(header.SequenceNumber - a.highest); ahead > 0 {
		a.expected += int(ahead)
		a.highest = header.SequenceNumber
	}
	a.received++
	a.inStream++
}

func (a *arrivals) lost() int { return a.earlierLost + max(0, a.expected-a.inStream) }

// place answers where a packet's first sample belongs: by its RTP timestamp, so that jitter does not show, and by its arrival when
// the stream starts or its clock has jumped.
func (a *arrivals) place(header *rtp.Header, arrived int) int {
	at := a.anchor + int(int32(header.Timestamp-a.anchorTime))
	if !a.anchored || at-arrived > resyncSamples || arrived-at > resyncSamples {
		a.anchored, a.anchor, a.anchorTime = true, arrived, header.Timestamp
		return arrived
	}
	return at
}
