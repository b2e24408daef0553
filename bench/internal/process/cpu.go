package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// tick is the unit of processor times in /proc: USER_HZ, which is 100 on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// CPU is the processor time that the process and what it started have used so far.
func (p *Process) CPU() (time.Duration, error) {
	all, err := readStats()
	if err != nil {
		return 0, fmt.Errorf("processor time of %s: %w", p.role, err)
	}
	return all.tree(p.cmd.Process.Pid), nil
}

// stat is a line of /proc/<pid>/stat.
type stat struct {
	pid, parent int
	// used is the processor time of the process and of those of its children that it has waited for.
	used time.Duration
}

type stats []stat

// readStats reads those of all processes.
func readStats() (stats, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var all stats
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		line, err := os.ReadFile("/proc/" + entry.Name() + "/stat")
		if err != nil {
			// It ended meanwhile: the file is gone, or can't be read any more.
			var gone *fs.PathError
			if errors.As(err, &gone) {
				continue
			}
			return nil, err
		}
		s, err := parseStat(line)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// parseStat reads a line of /proc/<pid>/stat (proc(5)). The second field, the name, may hold anything.
func parseStat(line []byte) (stat, error) {
	open, end := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("no line of /proc/<pid>/stat: %q", line)
	}
	fields := bytes.Fields(line[end+1:])
	const parent, utime, cstime = 4 - 3, 14 - 3, 17 - 3 // proc(5) counts from 1; the third field is the first here
	if len(fields) <= cstime {
		return stat{}, fmt.Errorf("no line of /proc/<pid>/stat: %q", line)
	}
	var s stat
	var errs [3]error
	s.pid, errs[0] = strconv.Atoi(string(bytes.TrimSpace(line[:open])))
	s.parent, errs[1] = strconv.Atoi(string(fields[parent]))
	// utime, stime, cutime, cstime
	for _, field := range fields[utime : cstime+1] {
		ticks, err := strconv.ParseInt(string(field), 10, 64)
		errs[2] = errors.Join(errs[2], err)
		s.used += time.Duration(ticks) * tick
	}
	return s, errors.Join(errs[:]...)
}

// tree is the processor time of a process and of what it started, in all generations.
func (all stats) tree(pid int) time.Duration {
	var used time.Duration
	for _, s := range all {
		if s.pid == pid {
			used += s.used
		}
		if s.parent == pid && s.pid != pid {
			used += all.tree(s.pid)
		}
	}
	return used
}
