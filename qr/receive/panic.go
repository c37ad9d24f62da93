package receive

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// PanicError reports a panic in a goroutine that serves several callers, so that it ends the retrieval and not the process.
type PanicError struct {
	Type   string // of the value
	Reason string // the text of a value of the runtime; "" for any other, which may hold data of a PACS
	Stack  []byte
}

func (e *PanicError) Error() string { return "panic: " + e.Type }

// sheltered returns a panic of f as an error.
func sheltered(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			p := &PanicError{Type: fmt.Sprintf("%T", value), Stack: debug.Stack()}
			if fault, ok := value.(runtime.Error); ok {
				p.Reason = fault.Error()
			}
			err = p
		}
	}()
	return f()
}
