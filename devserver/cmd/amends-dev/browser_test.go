package main

import (
	"context"
	"fmt"
	"net/http"
	neturl "net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// pageLimit is how long a page may take until it shows what is waited for, also on a machine that has much else to do.
const pageLimit = time.Minute

// browser is a Chromium. It ends with the test.
type browser struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // chromedp keeps the browser and its pages in contexts
}

// startBrowser skips the test where there is no Chromium.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	options := append(slices.Clone(chromedp.DefaultExecAllocatorOptions[:]),
		chromedp.ExecPath(chromium(t)),
		chromedp.NoSandbox,                               // it does not work for root, and the pages are ours
		chromedp.Flag("ignore-certificate-errors", true), // those of the tests are of an authority that nobody knows
		chromedp.WindowSize(1280, 1100),
	)
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "start the browser")
	return &browser{t, ctx}
}

func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	require.NotEqual(t, "true", os.Getenv("CI"), "in CI nothing is skipped, and no Chromium is installed")
	t.Skip("skipped, because there is no Chromium here")
	return ""
}

// page is a tab that shares nothing with others: no cookies, no settings. It keeps what it asked for and what it was answered.
type page struct {
	t   *testing.T
	ctx context.Context //nolint:containedctx // as in browser

	mu sync.Mutex
	// site is that of the document that is open, requests those for it and by it that have not failed.
	site     string
	requests map[network.RequestID]*request
	// asked are the addresses of all requests, and refused those that were answered with an error or not at all.
	asked, refused []string
	// complaints are exceptions, errors in the console, and what was not loaded.
	complaints []string
}

// request is one that a page sent.
type request struct {
	method, address string
	// ended tells that the answer is here. Pages don't read the body of an error, so its end is not seen.
	ended bool
}

// draws tells whether it has Markdown drawn in a frame, by the Web UI's server.
func (r *request) draws() bool { return strings.Contains(r.address, "/render?content=") }

func (b *browser) newPage(t *testing.T) *page {
	t.Helper()
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	require.NoError(t, chromedp.Do(ctx), "open a tab")
	p := &page{t: t, ctx: ctx, requests: map[network.RequestID]*request{}}
	require.NoError(t, chromedp.Listen(ctx, p.note))
	_, err := chromedp.Call(ctx, network.Enable, network.EnableParams{})
	require.NoError(t, err)
	return p
}

func (p *page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if e.Type == network.ResourceTypeDocument && string(e.FrameID) == string(chromedp.FromContext(p.ctx).Target.TargetID) {
			clear(p.requests)
			p.site = siteOf(e.Request.URL)
		}
		p.asked = append(p.asked, e.Request.URL)
		p.requests[e.RequestID] = &request{method: e.Request.Method, address: e.Request.URL}
	case *network.EventResponseReceived:
		if e.Response.Status >= http.StatusBadRequest {
			delete(p.requests, e.RequestID)
			p.refused = append(p.refused, e.Response.URL)
		}
	case *network.EventLoadingFinished:
		if r := p.requests[e.RequestID]; r != nil {
			r.ended = true
		}
	case *network.EventLoadingFailed:
		if r := p.requests[e.RequestID]; r != nil {
			delete(p.requests, e.RequestID)
			p.refused = append(p.refused, r.address)
			if !e.Canceled { // as when the page is left
				p.complaints = append(p.complaints, r.address+": "+e.ErrorText)
			}
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			p.complaints = append(p.complaints, e.Entry.URL+": "+e.Entry.Text)
		}
	case *runtime.EventExceptionThrown:
		p.complaints = append(p.complaints, e.ExceptionDetails.Text)
	case *runtime.EventConsoleAPICalled:
		if e.Type == runtime.ConsoleAPICalledTypeError {
			p.complaints = append(p.complaints, "console.error")
		}
	}
}

// do does what a person does, and fails where they would give up.
func (p *page) do(what string, actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, pageLimit)
	defer cancel()
	require.NoError(p.t, chromedp.Do(ctx, actions...), "%s; the page has:\n%s", what, p.text())
}

// visit opens the address, and waits until all of these texts can be read there.
func (p *page) visit(address string, texts ...string) {
	p.t.Helper()
	p.do("visit "+address, chromedp.Navigate(address))
	p.await(texts...)
}

// click presses what a selector finds, as soon as it can be pressed. Not by its place, since pages move while they load.
func (p *page) click(selector string) {
	p.t.Helper()
	found := chromedp.CSS(selector)
	p.do("press "+selector, chromedp.WaitVisible(found), chromedp.WaitEnabled(found))
	_, err := chromedp.Run(p.ctx, chromedp.Evaluate[any](fmt.Sprintf("document.querySelector(%q).click()", selector)))
	require.NoError(p.t, err, selector)
}

// await waits until all of these texts can be read.
func (p *page) await(texts ...string) {
	p.t.Helper()
	var text string
	require.Eventually(p.t, func() bool {
		text = p.text()
		return !slices.ContainsFunc(texts, func(wanted string) bool { return !strings.Contains(text, wanted) })
	}, pageLimit, 100*time.Millisecond, "%q in %s", texts, later(func() string { return text }))
}

// later is a text that is made when it is printed.
type later func() string

func (l later) String() string { return l() }

// text is what can be read, also in frames of the same site: the Web UI has its Markdown there.
func (p *page) text() string {
	p.t.Helper()
	text, err := chromedp.Run(p.ctx, chromedp.Evaluate[string](`
		[document, ...Array.from(document.querySelectorAll("iframe"), frame => frame.contentDocument)]
			.map(page => page?.body?.innerText ?? "").join("\n")`))
	require.NoError(p.t, err)
	return text
}

// settle waits until everything is answered that the page asked its site for. But not for a workflow's next event, nor for what is
// drawn in frames, which may be gone.
func (p *page) settle() {
	p.t.Helper()
	var open []string
	require.Eventually(p.t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		open = nil
		for _, r := range p.requests {
			if !r.ended && siteOf(r.address) == p.site && !strings.Contains(r.address, "waitNewEvent=true") && !r.draws() {
				open = append(open, r.address)
			}
		}
		return len(open) == 0
	}, pageLimit, 100*time.Millisecond, "no answer from %s", later(func() string { return strings.Join(open, ", ") }))
}

// answers are the bodies of the answers that the open page got, and where they came from. Without what the site gives to
// everybody: its scripts and styles.
func (p *page) answers() string {
	p.t.Helper()
	p.settle()
	var all strings.Builder
	for id, r := range p.answered() {
		address, err := neturl.PathUnescape(r.address)
		require.NoError(p.t, err)
		all.WriteString(address + "\n")
		if r.draws() {
			continue // what is drawn stands in the address, and in the page's text
		}
		answer, err := chromedp.Call(p.ctx, network.GetResponseBody, network.GetResponseBodyParams{RequestID: id})
		require.NoError(p.t, err, r.address)
		all.Write(answer.Body)
		all.WriteByte('\n')
	}
	return all.String()
}

func (p *page) answered() map[network.RequestID]request {
	p.mu.Lock()
	defer p.mu.Unlock()
	answered := map[network.RequestID]request{}
	for id, r := range p.requests {
		if r.ended && r.method != http.MethodOptions && !strings.Contains(r.address, "/_app/") {
			answered[id] = *r
		}
	}
	return answered
}

// forget forgets what was refused so far.
func (p *page) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = nil
}

// awaitRefused waits until an address that begins so has refused a request.
func (p *page) awaitRefused(beginning string) {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return slices.ContainsFunc(p.refused, func(address string) bool { return strings.HasPrefix(address, beginning) })
	}, pageLimit, 100*time.Millisecond, "%s refuses nothing", beginning)
}

// siteOf is the part of an address before its path.
func siteOf(address string) string {
	parsed, err := neturl.Parse(address)
	if err != nil {
		return address
	}
	return parsed.Scheme + "://" + parsed.Host
}

// write puts a text into the field that a selector finds, at once: of keys that come one by one, the Web UI loses some when it is
// slow, since it writes what it knew so far back to the field.
func (p *page) write(selector, text string) {
	p.t.Helper()
	found := chromedp.CSS(selector)
	p.do("find "+selector, chromedp.WaitVisible(found), chromedp.WaitEnabled(found))
	_, err := chromedp.Run(p.ctx, chromedp.Evaluate[any](fmt.Sprintf(`
		(field => { field.value = %q; field.dispatchEvent(new Event("input", {bubbles: true})) })(document.querySelector(%q))`, text, selector)))
	require.NoError(p.t, err, selector)
}
