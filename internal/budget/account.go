package budget

import "context"

// Account counts what one operation keeps and holds. It is for one goroutine at a time. A nil Account counts nothing.
type Account struct {
	budget   *Budget
	caller   any
	kept     int64 // until Close
	held     int64 // for the message that is being read
	reserved int64
	settled  bool
}

// Take counts bytes that the operation keeps until Close. It may wait for other operations to free memory. The error is a
// *TooLargeError, a *BusyError or the cause of the end of ctx; nothing is counted then.
func (a *Account) Take(ctx context.Context, bytes int) error {
	if a == nil {
		return nil
	}
	if err := a.cover(ctx, a.kept+a.held+int64(bytes)); err != nil {
		return err
	}
	a.kept += int64(bytes)
	return nil
}

// TryTake is Take that does not wait, for what the operation can do without. It reports whether the bytes are counted. It leaves
// room for the messages that the operation still has to read.
func (a *Account) TryTake(bytes int) bool {
	if a == nil {
		return true
	}
	if a.kept+int64(bytes) > Allowance+a.budget.share-messageRoom {
		return false
	}
	total := a.kept + a.held + int64(bytes)
	if missing := total - Allowance - a.reserved; missing > 0 {
		missing = (missing + step - 1) / step * step
		if a.reserved+missing > a.budget.share || a.budget.reserve(context.Background(), a.caller, missing, false) != nil {
			return false
		}
		a.reserved += missing
	}
	a.kept += int64(bytes)
	return true
}

// Give returns bytes that Take has counted.
func (a *Account) Give(bytes int) {
	if a != nil {
		a.kept -= int64(bytes)
	}
}

// Hold sets how many bytes the operation holds for the message that it is reading. It may wait, and fails, like Take.
func (a *Account) Hold(ctx context.Context, bytes int) error {
	if a == nil || int64(bytes) == a.held {
		return nil
	}
	if int64(bytes) > a.held {
		if err := a.cover(ctx, a.kept+int64(bytes)); err != nil {
			return err
		}
	}
	a.held = int64(bytes)
	if a.settled && a.held == 0 {
		a.shrink()
	}
	return nil
}

// cover makes sure that the allowance and the reservation cover total bytes.
func (a *Account) cover(ctx context.Context, total int64) error {
	switch {
	case total <= Allowance+a.reserved:
		return nil
	case total > Allowance+a.budget.share:
		return &TooLargeError{Max: a.budget.share}
	}
	missing := a.budget.share - a.reserved
	if err := a.budget.reserve(ctx, a.caller, missing, true); err != nil {
		return err
	}
	a.reserved = a.budget.share
	return nil
}

// Settle returns what is reserved beyond what the operation keeps. It is called once the operation has its answer, or has all
// but the outcomes of C-MOVEs, which may take long.
func (a *Account) Settle() {
	if a == nil {
		return
	}
	a.settled = true
	a.shrink()
}

func (a *Account) shrink() {
	needed := max(a.kept+a.held-Allowance, 0)
	needed = min((needed+step-1)/step*step, a.reserved)
	if needed < a.reserved {
		a.budget.release(a.caller, a.reserved-needed)
		a.reserved = needed
	}
}

// Close returns everything. It may be called more than once.
func (a *Account) Close() {
	if a == nil {
		return
	}
	a.kept, a.held = 0, 0
	a.shrink()
}
