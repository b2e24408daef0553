package devserver

import (
	"context"
	"fmt"
	"net/http"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"github.com/labstack/echo/v4"
	uiserver "github.com/temporalio/ui-server/v2/server"
	uiapi "github.com/temporalio/ui-server/v2/server/api"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/server_options"

	"github.com/amends-dev/amends/internal/connect"
	"github.com/amends-dev/amends/internal/inbound"
)

// webUI is the running Web UI.
type webUI struct {
	server *uiserver.Server
	done   chan struct{}
}

// startWebUI returns when the UI answers. It asks nobody for news or releases.
func startWebUI(ctx context.Context, p ports, namespace string) (*webUI, error) {
	ui := &webUI{
		server: uiserver.NewServer(server_options.WithAPIMiddleware([]uiapi.Middleware{onlyLocalNames}), server_options.WithConfigProvider(&uiconfig.Config{
			TemporalGRPCAddress: p.frontendAddr(),
			Host:                localhost,
			Port:                p.ui,
			EnableUI:            true,
			DefaultNamespace:    namespace,
			DisableNewsFetch:    true,
			NotifyOnNewVersion:  false,
			HideLogs:            true,
			CORS:                uiconfig.CORS{CookieInsecure: true}, // there is no TLS on localhost
		})),
		done: make(chan struct{}),
	}
	go func() {
		defer close(ui.done)
		_ = ui.server.Start() // only that it was closed; on any other error it ends the process
	}()
	if err := connect.Poll(ctx, "answer", func(ctx context.Context) error { return healthy(ctx, p.uiAddr()) }); err != nil {
		ui.stop()
		return nil, err
	}
	return ui, nil
}

// onlyLocalNames denies the UI's data and actions to pages whose name points to this machine: see
// [inbound.OnlyLocalNames]. Its own files are no secret.
func onlyLocalNames(echo.Context) runtime.ServeMuxOption {
	return runtime.WithMiddlewares(func(next runtime.HandlerFunc) runtime.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request, params map[string]string) {
			if !inbound.IsLocal(r.Host) {
				inbound.RefuseName(w)
				return
			}
			next(w, r, params)
		}
	})
}

func (ui *webUI) stop() {
	ui.server.Stop()
	<-ui.done
}

func healthy(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s", res.Status)
	}
	return nil
}
