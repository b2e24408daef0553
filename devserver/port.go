package devserver

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"

	"go.temporal.io/server/common/testing/freeport"
)

// localhost is the only address anything here listens on.
const localhost = "127.0.0.1"

// PortTakenError says that a port Options asks for is in use.
type PortTakenError struct {
	Port int
	// Option is the field of Options that chose it.
	Option string
}

func (e *PortTakenError) Error() string {
	return fmt.Sprintf("port %d is taken: choose another with Options.%s", e.Port, e.Option)
}

// ports are all the ports one server listens on. The ones that nobody outside
// the process uses are always free ones, so that servers never collide.
type ports struct {
	frontend, frontendHTTP    int
	history, matching, worker int
	ui                        int
}

func (p ports) frontendAddr() string { return hostPort(p.frontend) }
func (p ports) uiAddr() string       { return hostPort(p.ui) }

func hostPort(port int) string { return net.JoinHostPort(localhost, strconv.Itoa(port)) }

// choosePorts picks a server's ports. Ports that were asked for are tried out,
// because the server itself ends the process when it cannot have one.
func choosePorts(o Options) (ports, error) {
	frontend, err := choosePort(o.TemporalPort, "TemporalPort")
	if err != nil {
		return ports{}, err
	}
	ui, err := choosePort(o.UIPort, "UIPort")
	if err != nil {
		return ports{}, err
	}
	if ui == frontend {
		return ports{}, &PortTakenError{Port: ui, Option: "UIPort"}
	}
	return ports{
		frontend:     frontend,
		frontendHTTP: freeport.MustGetFreePort(),
		history:      freeport.MustGetFreePort(),
		matching:     freeport.MustGetFreePort(),
		worker:       freeport.MustGetFreePort(),
		ui:           ui,
	}, nil
}

func choosePort(port int, option string) (int, error) {
	if port == 0 {
		return freeport.MustGetFreePort(), nil
	}
	l, err := net.Listen("tcp", hostPort(port))
	if errors.Is(err, syscall.EADDRINUSE) {
		return 0, &PortTakenError{Port: port, Option: option}
	}
	if err != nil {
		return 0, fmt.Errorf("options.%s: %w", option, err)
	}
	return port, l.Close()
}
