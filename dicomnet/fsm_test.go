package dicomnet

import (
	"fmt"
	"strings"
	"testing"
)

// standardTable is PS3.8 table 9-10: one line per event, one column per state, each cell an action
// and the next state or "-" for no transition. AR-8 has the requestor's next state before the bar
// and the acceptor's after it.
const standardTable = `
        Sta1     Sta2          Sta3     Sta4     Sta5     Sta6     Sta7          Sta8     Sta9     Sta10     Sta11    Sta12    Sta13
Evt1    AE-1>4   -             -        -        -        -        -             -        -        -         -        -        -
Evt2    -        -             -        AE-2>5   -        -        -             -        -        -         -        -        -
Evt3    -        AA-1>13       AA-8>13  -        AE-3>6   AA-8>13  AA-8>13       AA-8>13  AA-8>13  AA-8>13   AA-8>13  AA-8>13  AA-6>13
Evt4    -        AA-1>13       AA-8>13  -        AE-4>1   AA-8>13  AA-8>13       AA-8>13  AA-8>13  AA-8>13   AA-8>13  AA-8>13  AA-6>13
Evt5    AE-5>2   -             -        -        -        -        -             -        -        -         -        -        -
Evt6    -        AE-6>3        AA-8>13  -        AA-8>13  AA-8>13  AA-8>13       AA-8>13  AA-8>13  AA-8>13   AA-8>13  AA-8>13  AA-7>13
Evt7    -        -             AE-7>6   -        -        -        -             -        -        -         -        -        -
Evt8    -        -             AE-8>13  -        -        -        -             -        -        -         -        -        -
Evt9    -        -             -        -        -        DT-1>6   -             AR-7>8   -        -         -        -        -
Evt10   -        AA-1>13       AA-8>13  -        AA-8>13  DT-2>6   AR-6>7        AA-8>13  AA-8>13  AA-8>13   AA-8>13  AA-8>13  AA-6>13
Evt11   -        -             -        -        -        AR-1>7   -             -        -        -         -        -        -
Evt12   -        AA-1>13       AA-8>13  -        AA-8>13  AR-2>8   AR-8>9|10     AA-8>13  AA-8>13  AA-8>13   AA-8>13  AA-8>13  AA-6>13
Evt13   -        AA-1>13       AA-8>13  -        AA-8>13  AA-8>13  AR-3>1        AA-8>13  AA-8>13  AR-10>12  AR-3>1   AA-8>13  AA-6>13
Evt14   -        -             -        -        -        -        -             AR-4>13  AR-9>11  -         -        AR-4>13  -
Evt15   -        -             AA-1>13  AA-2>1   AA-1>13  AA-1>13  AA-1>13       AA-1>13  AA-1>13  AA-1>13   AA-1>13  AA-1>13  -
Evt16   -        AA-2>1        AA-3>1   -        AA-3>1   AA-3>1   AA-3>1        AA-3>1   AA-3>1   AA-3>1    AA-3>1   AA-3>1   AA-2>1
Evt17   -        AA-5>1        AA-4>1   AA-4>1   AA-4>1   AA-4>1   AA-4>1        AA-4>1   AA-4>1   AA-4>1    AA-4>1   AA-4>1   AR-5>1
Evt18   -        AA-2>1        -        -        -        -        -             -        -        -         -        -        AA-2>1
Evt19   -        AA-1>13       AA-8>13  -        AA-8>13  AA-8>13  AA-8>13       AA-8>13  AA-8>13  AA-8>13   AA-8>13  AA-8>13  AA-7>13
`

func TestStateTableMatchesTheStandard(t *testing.T) {
	pairs := 0
	for _, line := range strings.Split(strings.TrimSpace(standardTable), "\n")[1:] {
		fields := strings.Fields(line)
		var e event
		if _, err := fmt.Sscanf(fields[0], "Evt%d", &e); err != nil || len(fields) != 14 {
			t.Fatalf("line %q: %v", line, err)
		}
		for i, cell := range fields[1:] {
			s := state(i + 1)
			for _, acceptor := range []bool{false, true} {
				pairs++
				got, ok := lookup(s, e, acceptor)
				if cell == "-" {
					if ok {
						t.Errorf("%s %s: %s, want no transition", s, e, got.action)
					}
					continue
				}
				action, next, _ := strings.Cut(cell, ">")
				requestors, acceptors, differs := strings.Cut(next, "|")
				if next = requestors; differs && acceptor {
					next = acceptors
				}
				if want := action + " Sta" + next; fmt.Sprint(got.action, " ", got.next) != want {
					t.Errorf("%s %s acceptor %t: %s %s, want %s", s, e, acceptor, got.action, got.next, want)
				}
			}
		}
	}
	if want := 13 * 19 * 2; pairs != want {
		t.Errorf("checked %d combinations of state, event and side, want %d", pairs, want)
	}
}

func TestStateTableRejectsUnknownStatesAndEvents(t *testing.T) {
	for _, out := range []struct {
		s state
		e event
	}{{0, evtAbort}, {sta13 + 1, evtAbort}, {sta6, 0}, {sta6, evtInvalid + 1}} {
		if got, ok := lookup(out.s, out.e, false); ok {
			t.Errorf("%s %s: %s", out.s, out.e, got.action)
		}
	}
}
