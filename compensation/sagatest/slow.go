package sagatest

// slowTry is a try of a workflow task that goes on although the server has given the task to another worker.
type slowTry struct {
	on bool
	// arrived tells that the try is about to make a call, proceed lets it.
	arrived, proceed chan struct{}
	// pace is how many calls it makes before each call of the other worker, the last number repeated.
	pace []int
	// over is set when the try has ended.
	over bool
}

func newSlowTry() slowTry { return slowTry{arrived: make(chan struct{}), proceed: make(chan struct{})} }

// SlowAt is [Env.CrashAt], but the worker is only slow: once the step was called, another worker takes over, and the
// first one goes on beside it with the workflow task that it has lost. pace is how many calls it makes before the other
// one's first, second, … call; the last number is repeated. What is left it does after the saga has ended. It makes no
// ordinary activities any more, since the server hears nothing from it.
func (e *Env) SlowAt(step string, pace []int, next func()) {
	e.requireStep(step)
	if len(pace) == 0 {
		pace = []int{1}
	}
	e.crashes = append(e.crashes, &crashAt{step: step, pace: pace, next: next})
}

// wait lets the slow try make its call when its turn comes.
func (s *slowTry) wait(w *worker, a *activityRun) {
	if !a.local {
		w.left = true // its task would have to be over
		return
	}
	s.arrived <- struct{}{}
	<-s.proceed
}

// step lets the slow worker make its next call, and waits until it is about to make another one or has ended.
func (w *worker) step() {
	if w.slow.over {
		return
	}
	w.slow.proceed <- struct{}{}
	w.awaitArrival()
}

// awaitArrival waits until the worker is slow and about to make a call, or has ended.
func (w *worker) awaitArrival() {
	select {
	case <-w.slow.arrived:
	case <-w.done:
		w.slow.over = true
	}
}

// overtake lets the slow workers make the calls that they make before the next one of the current worker.
func (e *Env) overtake() {
	for _, w := range e.slow {
		n := w.slow.pace[0]
		if len(w.slow.pace) > 1 {
			w.slow.pace = w.slow.pace[1:]
		}
		for range n {
			w.step()
		}
	}
}
