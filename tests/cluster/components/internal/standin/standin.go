// Package standin is a stand-in for the kubelet. It runs no containers.
//
// It registers nodes which all have the loopback address of this process, keeps their leases and Ready conditions fresh, and
// reports every pod bound to them as running, so that Deployments reach their replica counts without machines. Its HTTPS
// server gives the API server the kubelet's streaming endpoints: logs are made-up numbered lines, exec runs the command on
// this machine as the user of this process, attach echoes, and every forwarded port leads to one echo server.
//
// It exists so that logs, exec, attach and port-forward can be tested through a gateway with the real API server and the real
// protocols. It says nothing about how a kubelet treats containers: pods never fail, never finish, and have no probes.
package standin

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/kubernetes"
	"watchgate.test/components/internal/connect"
)

type options struct {
	kubeconfig  string
	nodes       int
	nodePrefix  string
	port        int
	certFile    string
	keyFile     string
	clientCA    string
	logLines    int
	logInterval time.Duration
}

// Command is the kubelet-stand-in part.
func Command() *cobra.Command {
	var o options
	command := &cobra.Command{
		Use:           "kubelet-stand-in",
		Short:         "Fake nodes whose pods run nothing, with a kubelet's streaming endpoints",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: false,
		RunE: func(command *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(command.Context(), syscall.SIGTERM, os.Interrupt)
			defer stop()
			return run(ctx, &o)
		},
	}
	flags := command.Flags()
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "how to reach the API server (required)")
	flags.IntVar(&o.nodes, "nodes", 1, "how many nodes to register")
	flags.StringVar(&o.nodePrefix, "node-prefix", "node-", "node names are this and a number from 0")
	flags.IntVar(&o.port, "port", 0, "HTTPS port on 127.0.0.1; 0 picks a free one")
	flags.StringVar(&o.certFile, "tls-cert-file", "", "serving certificate, PEM (required)")
	flags.StringVar(&o.keyFile, "tls-private-key-file", "", "its key, PEM (required)")
	flags.StringVar(&o.clientCA, "client-ca-file", "", "require client certificates signed by this CA, PEM")
	flags.IntVar(&o.logLines, "log-lines", 10, "lines which each container has logged before the first request")
	flags.DurationVar(&o.logInterval, "log-interval", 200*time.Millisecond, "time between two further lines while following")
	return command
}

func run(ctx context.Context, o *options) error {
	config, err := connect.Config(o.kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	tlsConfig, err := serving(o)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", o.port))
	if err != nil {
		return err
	}
	echo, err := startEcho()
	if err != nil {
		return err
	}
	port := listener.Addr().(*net.TCPAddr).Port

	nodes := newNodes(client, o.nodePrefix, o.nodes, int32(port))
	pods := newPods(client, nodes)
	if err := nodes.register(ctx); err != nil {
		return err
	}
	go nodes.beat(ctx)
	if err := pods.start(ctx); err != nil {
		return err
	}

	server := &http.Server{
		Handler:   routes(&streams{pods: pods, echo: echo, logLines: o.logLines, logInterval: o.logInterval}),
		TLSConfig: tlsConfig,
	}
	go func() {
		<-ctx.Done()
		_ = server.Close() // Exiting anyway: open streams are meant to break.
	}()
	fmt.Printf("ready port=%d\n", port)
	if err := server.ServeTLS(listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func serving(o *options) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert-file, --tls-private-key-file: %w", err)
	}
	// HTTP/2 has no upgrades, which all of the streaming endpoints need.
	config := &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"http/1.1"}}
	if o.clientCA == "" {
		return config, nil
	}
	pem, err := os.ReadFile(o.clientCA)
	if err != nil {
		return nil, fmt.Errorf("--client-ca-file: %w", err)
	}
	config.ClientCAs = x509.NewCertPool()
	if !config.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--client-ca-file: %s holds no certificate", o.clientCA)
	}
	config.ClientAuth = tls.RequireAndVerifyClientCert
	return config, nil
}
