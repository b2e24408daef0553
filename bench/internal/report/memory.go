package report

import (
	"strconv"
	"strings"
)

// MemoryMeasurement is the Temporal server's memory after a window in which sagas ran.
type MemoryMeasurement struct {
	Numbers

	// Sagas is the number of sagas in this window and those before it, HeapBytes the part of the heap in use after it.
	Sagas     int
	HeapBytes uint64
}

var memoryColumns = []columnOf[MemoryMeasurement]{
	{"sagas so far", func(m MemoryMeasurement) string { return strconv.Itoa(m.Sagas) }},
	{"heap MB", func(m MemoryMeasurement) string { return number(float64(m.HeapBytes) / 1e6) }},
	{"sagas/s", func(m MemoryMeasurement) string { return number(m.SagasPerSecond) }},
	{"p50 ms", func(m MemoryMeasurement) string { return number(m.P50) }},
	{"p99 ms", func(m MemoryMeasurement) string { return number(m.P99) }},
}

// Memory returns the measurements as a Markdown table, in their order.
func Memory(all []MemoryMeasurement) string {
	var b strings.Builder
	writeTable(&b, memoryColumns, all)
	return b.String()
}
