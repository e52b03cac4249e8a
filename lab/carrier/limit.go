package main

// How many calls does the trunk take in a second? As a real one, it refuses what comes above its limit.

import (
	"sync"
	"time"
)

// A RateLimit counts calls in a sliding second; 0 calls per second means no limit.
type RateLimit struct {
	mu     sync.Mutex
	cps    int
	recent []time.Time
}

func (r *RateLimit) Set(cps int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cps = cps
}

// Allow counts a call, unless it is one too many.
func (r *RateLimit) Allow(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for len(r.recent) > 0 && now.Sub(r.recent[0]) >= time.Second {
		r.recent = r.recent[1:]
	}
	if r.cps > 0 && len(r.recent) >= r.cps {
		return false
	}
	r.recent = append(r.recent, now)
	return true
}
