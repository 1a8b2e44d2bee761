package standin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os/exec"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// streams is what happens behind the streaming endpoints.
type streams struct {
	pods        *pods
	echo        net.Addr
	logLines    int
	logInterval time.Duration
}

// ExecInContainer runs the command on this machine. A terminal is not emulated: with tty both outputs go to one stream.
func (s *streams) ExecInContainer(ctx context.Context, _, _, _ string, command []string, in io.Reader,
	out, errOut io.WriteCloser, tty bool, resize <-chan remotecommand.TerminalSize, _ time.Duration) error {
	if len(command) == 0 {
		return errors.New("no command given")
	}
	go drain(resize)
	child := exec.CommandContext(ctx, command[0], command[1:]...)
	if out != nil {
		child.Stdout = out
	}
	if errOut != nil {
		child.Stderr = errOut
	} else if tty && out != nil {
		child.Stderr = out
	}
	if in != nil {
		// Not child.Stdin: waiting for the child would then wait for the client to close its stdin as well.
		stdin, err := child.StdinPipe()
		if err != nil {
			return err
		}
		go func() {
			_, _ = io.Copy(stdin, in) // Ends with the child or the client, whichever leaves first.
			_ = stdin.Close()
		}()
	}
	err := child.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// AttachContainer greets, then echoes until the client closes its stdin; without stdin it counts until the client leaves.
func (s *streams) AttachContainer(ctx context.Context, _, _, container string, in io.Reader, out, _ io.WriteCloser, _ bool,
	resize <-chan remotecommand.TerminalSize) error {
	go drain(resize)
	if out == nil {
		out = discard{}
	}
	if _, err := fmt.Fprintf(out, "attached to %s\n", container); err != nil {
		return err
	}
	if in != nil {
		_, err := io.Copy(out, in)
		return err
	}
	ticker := time.NewTicker(s.logInterval)
	defer ticker.Stop()
	for number := 1; ; number++ {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := fmt.Fprintf(out, "line %d\n", number); err != nil {
			return nil // The client left.
		}
	}
}

// PortForward connects every port to the echo server.
func (s *streams) PortForward(ctx context.Context, _, _ string, _ int32, stream io.ReadWriteCloser) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, s.echo.Network(), s.echo.String())
	if err != nil {
		return err
	}
	defer connection.Close()
	go func() {
		_, _ = io.Copy(connection, stream) // The echo ends when its input ends; errors end it too.
		_ = connection.(*net.TCPConn).CloseWrite()
	}()
	_, err = io.Copy(stream, connection)
	return err
}

// startEcho serves the echo protocol on a free loopback port for as long as the process lives.
func startEcho() (net.Addr, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer connection.Close()
				_, _ = io.Copy(connection, connection)
			}()
		}
	}()
	return listener.Addr(), nil
}

// drain reads the terminal sizes, which a session without terminal has none of.
func drain(resize <-chan remotecommand.TerminalSize) {
	if resize == nil {
		return
	}
	for range resize {
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
func (discard) Close() error                { return nil }
