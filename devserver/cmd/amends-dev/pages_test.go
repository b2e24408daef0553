package main

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/internal/longtest"
	"github.com/amends-dev/amends/internal/porttest"
)

// update makes TestPages take the README's picture again.
var update = flag.Bool("update", false, "take the picture in docs/images again")

// TestPages opens what `make run` announces and what the documentation links to.
func TestPages(t *testing.T) {
	t.Parallel()
	longtest.Skip(t)

	b := startBrowser(t)
	p := spawn(t, "--ephemeral")
	sagas := p.placeOneOfEachSort(t)
	ui := p.fact(t, "Web UI")

	t.Run("the API's description", func(t *testing.T) {
		t.Parallel()

		tab := b.newPage(t)
		tab.visit(described(t, p), "Amends", "Place an order", "/v1/sagas/{id}/steps/{step}/retry", "Approve or reject an order")
		tab.settle()
		tab.requireSound(p.fact(t, "API"))
	})
	t.Run("the Web UI", func(t *testing.T) {
		t.Parallel()

		tab := b.newPage(t)
		tab.visit(ui, idOf(sagas.done), idOf(sagas.undone), idOf(sagas.parked))
		requireReadable(t, tab, sagas)
		tab.settle()
		tab.requireSound(ui)
	})
	t.Run("the Web UI below another path", func(t *testing.T) {
		t.Parallel()

		site := fmt.Sprintf("127.0.0.1:%d", porttest.Free(t))
		startUI(t, p.fact(t, "Temporal"), site, "publicPath: /temporal")
		b.newPage(t).visit(sagas.at(ui, "http://"+site+"/temporal").undone, idOf(sagas.undone), "FAILED", "grace@example.com")
	})
	t.Run("parked sagas, as a view that is saved", func(t *testing.T) {
		t.Parallel()

		tab := b.newPage(t)
		tab.visit(strings.Replace(parkedLink(t), "http://127.0.0.1:8233", ui, 1), idOf(sagas.parked), "1–1")
		require.NotContains(t, tab.text(), idOf(sagas.done))
		require.NotContains(t, tab.text(), idOf(sagas.undone))
		tab.click(`[data-testid="create-view-button"]`)
		tab.write("#view-name", "Waits for us")
		tab.click(`dialog[open] [data-testid="confirm-modal-button"]`)
		tab.await("Waits for us")

		tab.visit(ui, idOf(sagas.done), idOf(sagas.undone), idOf(sagas.parked))
		tab.click(`[data-testid="saved-views-button"]`)
		tab.click(`[role="menuitem"][data-testid="waits-for-us"]`)
		tab.await(idOf(sagas.parked), "1–1")
		require.NotContains(t, tab.text(), idOf(sagas.done))
	})
	t.Run("the README's picture", func(t *testing.T) {
		t.Parallel()

		tab := b.newPage(t)
		tab.do("make the window fit", chromedp.EmulateViewport(1280, 1070))
		tab.visit(details(sagas.undone), "2 articles for customer", "NotifyCustomer\tretriable\tnot_run\tnone")
		tab.settle()
		picture := tab.picture()
		require.Less(t, len(picture), 150_000, "pages load it")
		if *update {
			require.NoError(t, os.WriteFile("../../../docs/images/compensated-saga.png", picture, 0o644))
		}
	})
}

// picture is what the page looks like, as a small PNG.
func (p *page) picture() []byte {
	p.t.Helper()
	shot, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
	require.NoError(p.t, err)
	pixels, err := png.Decode(bytes.NewReader(shot))
	require.NoError(p.t, err)
	small := image.NewRGBA(pixels.Bounds())
	draw.Draw(small, small.Rect, pixels, image.Point{}, draw.Src)
	for i, shade := range small.Pix {
		small.Pix[i] = shade&^7 | shade>>5 // letters are smoothed in more shades than anybody sees
	}
	var file bytes.Buffer
	require.NoError(p.t, (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&file, small))
	return file.Bytes()
}

// described is the announced address of the API's description.
func described(t *testing.T, p *process) string {
	t.Helper()
	found := regexp.MustCompile(`\(described at (\S+)\)`).FindStringSubmatch(p.announced)
	require.NotNil(t, found, p.announced)
	return found[1]
}

// parkedLink is the address that docs/parked-sagas.md gives for finding them.
func parkedLink(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../../docs/parked-sagas.md")
	require.NoError(t, err)
	link := regexp.MustCompile(`<(http://127\.0\.0\.1:8233/\S+)>`).FindSubmatch(page)
	require.NotNil(t, link)
	return string(link[1])
}

// idOf is the workflow's ID in the address of a saga's page.
func idOf(saga string) string { return strings.Split(saga, "/")[6] }

// requireSound requires that nothing went wrong in the page, and that it asked nobody but that site.
func (p *page) requireSound(site string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Empty(p.t, p.complaints)
	for _, address := range p.asked {
		if !strings.HasPrefix(address, "data:") {
			require.Equal(p.t, site, siteOf(address), address)
		}
	}
}
