package jobs

import "time"

// record is what a job is. It never changes.
type record struct {
	NotBefore time.Time `json:"not_before,omitzero"`
	Window    *Window   `json:"window,omitempty"`
}
