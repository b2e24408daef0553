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

// wait lets the slow try make its call when its turn comes.
func (s *slowTry) wait() {
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
