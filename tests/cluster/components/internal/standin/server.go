package standin

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

const (
	idleTimeout     = time.Hour
	creationTimeout = 30 * time.Second
)

// routes are the kubelet's paths which the API server uses for pods.
func routes(s *streams) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", s.logs)
	for _, prefix := range []string{"/{namespace}/{pod}/{container}", "/{namespace}/{pod}/{uid}/{container}"} {
		mux.HandleFunc("/exec"+prefix, s.exec)
		mux.HandleFunc("/attach"+prefix, s.attach)
	}
	mux.HandleFunc("/portForward/{namespace}/{pod}", s.portForward)
	mux.HandleFunc("/portForward/{namespace}/{pod}/{uid}", s.portForward)
	return mux
}

// found answers 404, and false, for a pod or container which isn't here.
func (s *streams) found(w http.ResponseWriter, r *http.Request) bool {
	if s.pods.has(r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container")) {
		return true
	}
	http.Error(w, "no such pod or container on this node", http.StatusNotFound)
	return false
}

func (s *streams) exec(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.found(w, r) {
		remotecommand.ServeExec(w, r, s, r.PathValue("pod"), r.PathValue("uid"), r.PathValue("container"),
			r.URL.Query()["command"], options, idleTimeout, creationTimeout,
			remotecommand.SupportedStreamingProtocols)
	}
}

func (s *streams) attach(w http.ResponseWriter, r *http.Request) {
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.found(w, r) {
		remotecommand.ServeAttach(w, r, s, r.PathValue("pod"), r.PathValue("uid"), r.PathValue("container"),
			options, idleTimeout, creationTimeout, remotecommand.SupportedStreamingProtocols)
	}
}

func (s *streams) portForward(w http.ResponseWriter, r *http.Request) {
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if s.found(w, r) {
		portforward.ServePortForward(w, r, s, r.PathValue("pod"), r.PathValue("uid"), options, idleTimeout,
			creationTimeout, portforward.SupportedProtocols)
	}
}

// logs writes the container's numbered lines: those it "has" already, and with follow one more per interval until the reader
// leaves. It honours tailLines, limitBytes and timestamps.
func (s *streams) logs(w http.ResponseWriter, r *http.Request) {
	if !s.found(w, r) {
		return
	}
	query := r.URL.Query()
	first := 1
	if tail, err := strconv.Atoi(query.Get("tailLines")); err == nil {
		first = max(1, s.logLines-tail+1)
	}
	limit, err := strconv.Atoi(query.Get("limitBytes"))
	limited := err == nil
	flusher := http.NewResponseController(w)

	w.Header().Set("Content-Type", "text/plain")
	write := func(number int) bool {
		line := fmt.Sprintf("line %d of %s/%s/%s\n", number, r.PathValue("namespace"), r.PathValue("pod"), r.PathValue("container"))
		if query.Get("timestamps") == "true" {
			line = time.Now().UTC().Format(time.RFC3339Nano) + " " + line
		}
		if limited {
			line = line[:min(limit, len(line))]
			limit -= len(line)
		}
		_, err := io.WriteString(w, line)
		return err == nil && flusher.Flush() == nil && (!limited || limit > 0)
	}
	for number := first; number <= s.logLines; number++ {
		if !write(number) {
			return
		}
	}
	if err := flusher.Flush(); err != nil || query.Get("follow") != "true" {
		return
	}
	ticker := time.NewTicker(s.logInterval)
	defer ticker.Stop()
	for number := s.logLines + 1; ; number++ {
		select {
		case <-r.Context().Done():
			return
		case <-ticker.C:
		}
		if !write(number) {
			return
		}
	}
}
