package main

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	neturl "net/url"
	"os"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/amends-dev/amends/compensation"
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
	t.Run("what people wrote", func(t *testing.T) {
		t.Parallel()

		order := p.place(t, "fraud-review")
		p.awaitApproval(t, order)
		p.post(t, "/v1/orders/"+order+"/cancel", `{"by": "https://evil.example/a $x", "reason": "$y **b** <img src=x> [l](http://evil.example) דוד 12"}`)
		p.awaitState(t, order, "compensated")
		tab := b.newPage(t)
		tab.visit(details(p.webUI(t, order)), "https://evil.example/a $x", "$y **b** <img src=x> [l](http://evil.example)", "CapturePayment\tpivot\tnot_run\tprevented")
		require.Empty(t, tab.drawn("a, img, em, code, h1, .math"))
		require.Equal(t, []string{"compensated"}, tab.drawn("strong"))

		// Each on a line as the engine writes it, followed by text that must not be swallowed or moved.
		var lines, want []string
		for _, text := range hostileTexts() {
			escaped := compensation.EscapeMarkdown(text)
			lines = append(lines, fmt.Sprintf("- %s: skip ReserveStock, because %s (%s), %s", escaped, escaped, escaped, escaped))
			shown := strings.Trim(escaped, "\u2068\u2069")
			if shown != escaped {
				text = "\u2068" + text + "\u2069"
			}
			want = append(want, fmt.Sprintf("%s: skip ReserveStock, because %s (%s), %s", text, text, text, text))
		}
		tab = b.newPage(t)
		tab.visit(ui+"/render?content="+neturl.QueryEscape("**parked**\n\n| step |\n|---|\n| Ship |\n\n**What operators did**\n\n"+strings.Join(lines, "\n")+"\n"), "What operators did")
		quotes := strings.NewReplacer("“", "", "”", "", "‘", "", "’", "", `"`, "", "'", "") // the renderer has typographic quotes, one for two
		for i, shown := range tab.drawn("li") {
			require.Equal(t, quotes.Replace(want[i]), quotes.Replace(shown))
		}
		require.Len(t, tab.drawn("li"), len(want))
		require.Equal(t, []string{"parked", "What operators did"}, tab.drawn("strong"))
		require.Empty(t, tab.drawn("main :not(p, strong, table, thead, tbody, tr, th, td, ul, li)"))
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

// hostileTexts returns texts that would be more than text if the renderer took them for Markdown.
func hostileTexts() []string {
	texts := []string{
		"https://evil.example/a?b=c#d", "HTTP://EVIL.EXAMPLE", "ftp://evil.example", "file:///etc/passwd", "mailto:a@evil.example", "www.evil.example",
		"<https://evil.example>", "[l](https://evil.example)", "![i](https://evil.example/i.png)", "[l][r]", "[r]: https://evil.example", "[^1]", "^[n]",
		`<a href="https://evil.example">l</a>`, "<script>alert(1)</script>", "<!-- c -->", "&lt;b&gt; &#60;b&#62; &amp;", "costs $5, not $6", "$$x$$", `\(x\) \[y\]`,
		"x {#id}", "{.class}", "1. one", "1) one", "(c) (r) (tm)", "a -- b --- c ... d", "x\\", "| a | b |", "a|b", "דוד 12", "محمد (7)", "👩‍🚒 ❤️ Zoë 日本",
	}
	for c := '!'; c <= '~'; c++ {
		if unicode.IsPunct(c) || unicode.IsSymbol(c) {
			for _, mark := range []string{string(c), strings.Repeat(string(c), 2), strings.Repeat(string(c), 3)} {
				texts = append(texts, mark+"y"+mark, "x "+mark+" y", "x"+mark+"y "+mark+"z"+mark, mark)
			}
		}
	}
	return texts
}

// drawn returns the texts of the elements that a selector finds, also in frames of the same site.
func (p *page) drawn(selector string) []string {
	p.t.Helper()
	texts, err := chromedp.Run(p.ctx, chromedp.Evaluate[[]string](fmt.Sprintf(`
		[document, ...Array.from(document.querySelectorAll("iframe"), frame => frame.contentDocument)]
			.filter(page => page?.title == "Rendered Markdown")
			.flatMap(page => Array.from(page.querySelectorAll(%q), found => found.innerText))`, selector)))
	require.NoError(p.t, err)
	return texts
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
