package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/alecthomas/kong"
)

// textOf is a value of the file as the text that would set the flag on the command line. A list stays a list and a number
// a number: what has another type than the flag is an error, so that a mistake does not pass for a strange value.
func textOf(flag *kong.Flag, raw any) (string, error) {
	if flag.IsSlice() {
		list, ok := raw.([]any)
		if !ok {
			return "", fmt.Errorf("must be a list, such as [%s], but is %s", example(flag.Target.Type().Elem()), typeName(raw))
		}
		texts := make([]string, len(list))
		for i, element := range list {
			text, err := scalar(flag.Target.Type().Elem(), element)
			if err != nil {
				return "", fmt.Errorf("element %d %w", i+1, err)
			}
			texts[i] = text
		}
		return kong.JoinEscaped(texts, flag.Tag.Sep), nil
	}
	if flag.IsMap() {
		table, ok := raw.(map[string]any)
		if !ok {
			return "", fmt.Errorf("must be a table but is %s", typeName(raw))
		}
		var texts []string
		for name, element := range table {
			text, err := scalar(flag.Target.Type().Elem(), element)
			if err != nil {
				return "", fmt.Errorf("%s %w", name, err)
			}
			texts = append(texts, name+"="+text)
		}
		slices.Sort(texts)
		return kong.JoinEscaped(texts, flag.Tag.MapSep), nil
	}
	return scalar(flag.Target.Type(), raw)
}

// scalar is the text of a value that is neither a list nor a table.
func scalar(t reflect.Type, raw any) (string, error) {
	switch v := raw.(type) {
	case bool:
		if kind(t) == reflect.Bool {
			return strconv.FormatBool(v), nil
		}
	case int64:
		if k := kind(t); k == reflect.Int || k == reflect.Float64 {
			return strconv.FormatInt(v, 10), nil
		}
	case float64:
		if kind(t) == reflect.Float64 {
			return strconv.FormatFloat(v, 'g', -1, 64), nil
		}
	case string:
		if kind(t) == reflect.String {
			return v, nil
		}
	}
	return "", errors.New("must be " + example(t) + " but is " + typeName(raw))
}

// kind is how the file writes a value of t: as a Bool, an Int, a Float64, or else a String.
func kind(t reflect.Type) reflect.Kind {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == reflect.TypeFor[time.Duration](), reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return reflect.String
	case t.Kind() == reflect.Bool:
		return reflect.Bool
	case reflect.Zero(t).CanInt(), reflect.Zero(t).CanUint():
		return reflect.Int
	case reflect.Zero(t).CanFloat():
		return reflect.Float64
	}
	return reflect.String
}

// example says what a value of t looks like in the file.
func example(t reflect.Type) string {
	switch kind(t) {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	default:
		return "text in quotes"
	}
}

func typeName(raw any) string {
	switch raw.(type) {
	case bool:
		return "a boolean"
	case int64:
		return "a whole number"
	case float64:
		return "a fraction"
	case string:
		return "text"
	case []any, []map[string]any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return "a time"
}
