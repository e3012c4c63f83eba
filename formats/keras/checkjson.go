package keras

import (
	"encoding/json"
	"fmt"

	"github.com/nnrt/nnrt/formats"
)

// checkJSON refuses, before anything is decoded, JSON that is nested too deeply, and objects with a key twice: readers
// differ in which of the two they believe, so that one may check what another runs.
func checkJSON(b []byte, opts Options) error {
	var open []map[string]bool // of each object that is open its keys so far; nil for an array
	key := false               // whether a string here would be a key
	for i := 0; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			if len(open) == opts.MaxDepth {
				return jsonError(i, fmt.Sprintf("nested deeper than %d", opts.MaxDepth))
			}
			key = b[i] == '{'
			var keys map[string]bool
			if key {
				keys = map[string]bool{}
			}
			open = append(open, keys)
		case '}', ']':
			if len(open) == 0 {
				return nil // the decoder says what is wrong
			}
			open, key = open[:len(open)-1], false
		case ',':
			key = len(open) > 0 && open[len(open)-1] != nil
		case '"':
			end := endOfString(b, i)
			if key {
				var name string
				if json.Unmarshal(b[i:end], &name) != nil {
					return nil
				}
				keys := open[len(open)-1]
				if keys[name] {
					return jsonError(i, fmt.Sprintf("the key %.60q stands twice in one object", name))
				}
				keys[name], key = true, false
			}
			i = end - 1
		}
	}
	return nil
}

// endOfString is the place behind the string that begins at i.
func endOfString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}

func jsonError(at int, msg string) error {
	return &formats.FormatError{Format: formats.KerasJSON, Offset: int64(at), Msg: msg}
}
