package main

// health.go answers: is the gateway well, and what does it hold? For whoever starts it, and for tests that look for leaks.

import (
	"encoding/json"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"
)

const collectEvery = time.Second

// stats is the answer of GET /stats.
type stats struct {
	ActiveCalls int   `json:"active_calls"`
	Goroutines  int   `json:"goroutines"`
	OpenFDs     int   `json:"open_fds"`
	RSSBytes    int64 `json:"rss_bytes"`
}

var (
	collecting    sync.Mutex
	lastCollected time.Time
)

// collect frees what nothing refers to any more, so that the figures show what is held and not what waits to be
// collected: sockets that the other side has closed, most of all.
func collect() {
	collecting.Lock()
	defer collecting.Unlock()
	if time.Since(lastCollected) < collectEvery {
		return
	}
	debug.FreeOSMemory()
	lastCollected = time.Now()
}

func (g *gateway) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /stats", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if g.count() == 0 {
			collect()
		}
		_ = json.NewEncoder(w).Encode(stats{g.count(), runtime.NumGoroutine(), openFDs(), residentBytes()})
	})
	mux.HandleFunc("POST /limit", func(w http.ResponseWriter, r *http.Request) {
		var wanted struct {
			MaxCalls *int64 `json:"max_calls"`
		}
		if err := json.NewDecoder(r.Body).Decode(&wanted); err != nil || wanted.MaxCalls == nil || *wanted.MaxCalls < 0 {
			http.Error(w, `{"max_calls": n} is wanted, n >= 0`, http.StatusBadRequest)
			return
		}
		g.limit.Store(*wanted.MaxCalls)
	})
	return mux
}

func openFDs() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return -1
	}
	return len(entries) - 1 // without the one that reads the folder
}

func residentBytes() int64 {
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return -1
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return -1
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return -1
	}
	return pages * int64(os.Getpagesize())
}
