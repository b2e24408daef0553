package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"github.com/amends-dev/amends/devserver"
)

// listen takes the addresses that were asked for before anything is started, so
// that a taken port is told at once.
func (s *system) listen(ctx context.Context) (err error) {
	if s.apiListener, err = s.listenAt(ctx, s.flags.APIAddr, "--api-addr"); err != nil {
		return err
	}
	s.servicesListener, err = s.listenAt(ctx, s.flags.ServicesAddr, "--services-addr")
	return err
}

func (s *system) listenAt(ctx context.Context, addr, flag string) (net.Listener, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		if _, port, err := net.SplitHostPort(addr); err == nil {
			return nil, takenPort(port, flag)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	s.started = append(s.started, part{"listening at " + addr, func(context.Context) error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) { // by the server that had it
			return err
		}
		return nil
	}})
	return l, nil
}

func takenPort(port, flag string) error {
	return fmt.Errorf("port %s is taken: choose another with %s", port, flag)
}

// inFlags says an error of package devserver in the words of the command line.
func inFlags(err error) error {
	flag := map[string]string{
		"TemporalPort": "--temporal-port",
		"UIPort":       "--ui-port",
		"DataDir":      "--data",
		"PostgresDSN":  "--postgres",
	}
	var taken *devserver.PortTakenError
	var inUse *devserver.InUseError
	switch {
	case errors.As(err, &taken):
		return takenPort(strconv.Itoa(taken.Port), flag[taken.Option])
	case errors.As(err, &inUse):
		return fmt.Errorf("%w: stop that, or choose another with %s", inUse, flag[inUse.Option])
	default:
		return err
	}
}

// serve answers requests until it is stopped, which lets those being answered
// finish for at most limit.
func (s *system) serve(name string, limit time.Duration, l net.Listener, server *http.Server) {
	server.ErrorLog = slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn)
	s.serving.Go(func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("%s: %w", name, err)
		}
	})
	s.started = append(s.started, part{name, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		if err := server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return server.Close()
	}})
}

// url is where clients on this machine find what listens at l.
func url(l net.Listener) string {
	addr := l.Addr().(*net.TCPAddr)
	host := addr.IP.String()
	if addr.IP.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(addr.Port))
}
