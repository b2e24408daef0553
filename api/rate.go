package api

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// limitedPath is the path below which requests count for their caller. Elsewhere callers are not asked to identify
// themselves, and requests count for their address.
const limitedPath = "/v1/"

// livePath has no limit. Refusing a request there would cost as much as answering it, and get a live process killed:
// behind some load balancers, everybody has the address of the caller who sends too many.
const livePath = "/healthz"

// payer returns the account that the request counts for. An address's open requests and its unproved ones count
// separately.
func payer(r *http.Request) string {
	if strings.HasPrefix(r.URL.Path, limitedPath) {
		return accountOf(r.Context())
	}
	return "open to " + accountOf(r.Context())
}

// maxCallers is how many callers are known at once. Beyond it the one who has not asked for longest starts anew.
const maxCallers = 10_000

// limiter holds each caller to a rate, with a token bucket. Every process counts for itself.
type limiter struct {
	rate   float64 // tokens a second
	burst  int     // tokens in a full bucket
	policy string

	mu sync.Mutex
	// buckets are of those callers whose bucket may not be full; the first is the one who has not asked for longest.
	buckets *simplelru.LRU[string, *bucket]
}

type bucket struct {
	tokens *rate.Limiter
	asked  time.Time
}

func newLimiter(perSecond float64, burst int) *limiter {
	buckets, err := simplelru.NewLRU[string, *bucket](maxCallers, nil)
	if err != nil {
		panic("api: callers: " + err.Error()) // its size is a constant
	}
	l := &limiter{rate: perSecond, burst: burst, buckets: buckets}
	l.policy = fmt.Sprintf(`"caller";q=%d;w=%d`, burst, l.seconds(float64(burst)))
	return l
}

// seconds is how long so many tokens take to come, rounded up.
func (l *limiter) seconds(tokens float64) int { return int(math.Ceil(max(tokens, 0) / l.rate)) }

// take takes a token of the caller's, if there is one, and returns how many are left.
func (l *limiter) take(caller string, now time.Time) (left float64, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for {
		// A bucket that is full again is like a new one.
		_, oldest, found := l.buckets.GetOldest()
		if !found || now.Sub(oldest.asked).Seconds() < float64(l.burst)/l.rate {
			break
		}
		l.buckets.RemoveOldest()
	}
	b, found := l.buckets.Get(caller)
	if !found {
		b = &bucket{tokens: rate.NewLimiter(rate.Limit(l.rate), l.burst)}
		l.buckets.Add(caller, b)
	}
	b.asked = now
	ok = b.tokens.AllowN(now, 1)
	return b.tokens.TokensAt(now), ok
}

// perCaller counts the open requests of callers at this process.
type perCaller struct {
	// most is the most that one caller may have.
	most int

	mu   sync.Mutex
	open map[string]int
}

func newPerCaller(most int) *perCaller { return &perCaller{most: most, open: map[string]int{}} }

// enter counts one more, unless the caller already has the most.
func (p *perCaller) enter(caller string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[caller] >= p.most {
		return false
	}
	p.open[caller]++
	return true
}

// leave ends what enter has counted.
func (p *perCaller) leave(caller string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open[caller]--; p.open[caller] == 0 {
		delete(p.open, caller)
	}
}

// limitRate refuses requests of a caller who asks too often, and tells every caller how much is left: RateLimit and
// RateLimit-Policy are those of draft-ietf-httpapi-ratelimit-headers-10.
func (s *server) limitRate(l *limiter) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == livePath {
				next.ServeHTTP(w, r)
				return
			}
			left, ok := l.take(payer(r), time.Now())
			w.Header().Set("RateLimit-Policy", l.policy)
			w.Header().Set("RateLimit", fmt.Sprintf(`"caller";r=%d;t=%d`, max(int(left), 0), l.seconds(float64(l.burst)-left)))
			if !ok {
				s.log.WarnContext(r.Context(), "too many requests", "caller", accountOf(r.Context()), "request_id", requestID(r.Context()))
				p := s.problem(r.Context(), &failure{
					code:   codeTooManyRequests,
					detail: "More than " + strconv.FormatFloat(l.rate, 'f', -1, 64) + " requests a second for a while. This one had no effect.",
				})
				p.retryAfter = max(l.seconds(1-left), 1)
				writeProblem(w, p)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// describeRate adds the headers about the rate to an operation's answers.
func describeRate(op huma.Operation) {
	if op.Path == livePath {
		return
	}
	for _, answer := range op.Responses {
		if answer.Headers == nil {
			answer.Headers = map[string]*huma.Param{}
		}
		answer.Headers["RateLimit"] = &huma.Param{
			Description: "How many requests the caller has left (r), and in how many seconds all of them are there again (t).",
			Schema:      &huma.Schema{Type: huma.TypeString, Examples: []any{`"caller";r=1999;t=1`}},
		}
		answer.Headers["RateLimit-Policy"] = &huma.Param{
			Description: "How many requests a caller may make (q), and in how many seconds (w).",
			Schema:      &huma.Schema{Type: huma.TypeString, Examples: []any{`"caller";q=2000;w=2`}},
		}
	}
}
