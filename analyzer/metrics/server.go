package metrics

import (
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// A Server answers GET /metrics with all metrics, including those of Go's runtime and the process,
// and GET /healthz with 200, or with 503 and the error.
type Server struct {
	listener net.Listener
	http     http.Server
	done     chan struct{}
}

// maxScrapes bounds how many scrapes are answered at once; others get a 503.
const maxScrapes = 8

// Serve starts a Server at addr, a host and a port. Without a host it listens on loopback only.
func Serve(addr string, from Source) (*Server, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	if host == "" {
		host = "localhost"
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{from}, collectors.NewGoCollector(), collectors.NewBuildInfoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{MaxRequestsInFlight: maxScrapes}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if err := from.Healthy(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	s := &Server{
		listener: listener,
		http:     http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 16 << 10},
		done:     make(chan struct{}),
	}
	go func() {
		defer close(s.done)
		_ = s.http.Serve(listener) // always http.ErrServerClosed: the listener fails only if it is closed
	}()
	return s, nil
}

// Addr returns the address at which s listens.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close ends s, and the connections to it.
func (s *Server) Close() {
	_ = s.http.Close()
	<-s.done
}
