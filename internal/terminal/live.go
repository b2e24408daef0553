package terminal

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Block is text of several lines that is drawn in place.
type Block struct {
	Out io.Writer
	// Width is how many columns there are now. Lines are cut, since one that wraps would be two.
	Width func() int
	// lines are those that the last drawing took.
	lines int
}

// Draw draws the text, whose lines end with a newline, where the last one was.
func (b *Block) Draw(text string) error {
	var drawn strings.Builder
	if b.lines > 0 {
		fmt.Fprintf(&drawn, "\x1b[%dA\x1b[J", b.lines) // up, and clear from there
	}
	b.lines = 0
	for line := range strings.Lines(text) {
		fmt.Fprintln(&drawn, Cut(strings.TrimSuffix(line, "\n"), b.Width()-1)) // a line as wide as the terminal would wrap on some
		b.lines++
	}
	_, err := io.WriteString(b.Out, drawn.String())
	return err
}

// Repeat calls show now, every so often, and once more when the function that it returns is called.
func Repeat(every time.Duration, show func()) (stop func()) {
	ended := make(chan struct{})
	var showing sync.WaitGroup
	showing.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			show()
			select {
			case <-tick.C:
			case <-ended:
				show()
				return
			}
		}
	})
	return func() {
		close(ended)
		showing.Wait()
	}
}
