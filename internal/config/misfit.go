package config

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/alecthomas/kong"
)

// misfits are the settings of the file that there are not: in the tables of the commands on path, or in all of them if
// path is nil. A table that no command has is always one: nobody would ever miss what is in it.
func (l *Loader) misfits(root *kong.Node, path []*kong.Path) []error {
	if l.file == nil {
		return nil
	}
	m := misfits{file: l.file, own: l.Flag, groups: l.Groups}
	if path != nil {
		m.nodes = []*kong.Node{}
		for _, p := range path {
			m.nodes = append(m.nodes, p.Node())
		}
	}
	m.walk(root)
	return m.found
}

type misfits struct {
	file *File
	// own is the flag with the file's path, which cannot be in the file.
	own    string
	groups map[string][]string
	// nodes are the commands whose flags count; nil for all.
	nodes []*kong.Node
	found []error
}

func (m *misfits) walk(node *kong.Node) {
	table := tableOf(node)
	var names, commands []string
	for _, flag := range node.Flags {
		if flag.Name != "help" && flag.Name != m.own {
			names = append(names, flag.Name)
		}
	}
	for _, child := range node.Children {
		commands = append(commands, child.Name)
	}
	if node.Parent == nil {
		for group := range m.groups {
			commands = append(commands, group)
		}
	}
	for _, name := range m.file.Keys(table...) {
		key := append(slices.Clone(table), name)
		i := slices.IndexFunc(node.Children, func(n *kong.Node) bool { return n.Name == name })
		isTable := m.file.Has(key...)
		switch {
		case slices.Contains(names, name):
		case isTable && i >= 0:
			m.walk(node.Children[i])
		case isTable && node.Parent == nil && m.groups[name] != nil:
			m.group(name)
		case isTable:
			m.add(key, "there is no table ["+strings.Join(key, ".")+"]", commands)
		case m.nodes == nil || slices.Contains(m.nodes, node):
			m.add(key, "there is no setting "+strings.Join(key, "."), names)
		}
	}
}

// group looks at the sets of settings in a group's table.
func (m *misfits) group(group string) {
	for _, set := range m.file.Keys(group) {
		if !m.file.Has(group, set) {
			m.add([]string{group, set}, fmt.Sprintf("%s.%s must be a table", group, set), nil)
			continue
		}
		for _, name := range m.file.Keys(group, set) {
			key := []string{group, set, name}
			switch _, isText := m.file.get(key).(string); {
			case !slices.Contains(m.groups[group], name):
				m.add(key, "there is no setting "+strings.Join(key, "."), m.groups[group])
			case !isText:
				m.add(key, strings.Join(key, ".")+" must be text in quotes but is "+typeName(m.file.get(key)), nil)
			}
		}
	}
}

func (m *misfits) add(key []string, what string, allowed []string) {
	err := fmt.Errorf("%s: %s", m.file.where(key...), what)
	if len(allowed) > 0 {
		err = fmt.Errorf("%w; %s", err, instead(key[len(key)-1], allowed))
	}
	m.found = append(m.found, err)
}

// instead says what may have been meant: the nearest name, or all of them if none is near.
func instead(name string, allowed []string) string {
	if nearest := nearest(name, allowed); nearest != "" {
		return "did you mean " + nearest + "?"
	}
	slices.Sort(allowed)
	return "there are " + strings.Join(allowed, ", ")
}

// nearest is the name that is only a few typing errors away; "" if there is none.
func nearest(name string, names []string) (found string) {
	best := 1 + len(name)/3
	for _, candidate := range names {
		if d := levenshtein.ComputeDistance(name, candidate); d <= best && candidate != found {
			if d < best || found == "" {
				best, found = d, candidate
			}
		}
	}
	return found
}
