package dicomnet

import "fmt"

// state is a state of the Upper Layer state machine. Numbers and descriptions are those of PS3.8
// tables 9-1 to 9-5.
type state uint8

const (
	sta1  state = iota + 1 // idle
	sta2                   // transport connection open, awaiting A-ASSOCIATE-RQ
	sta3                   // awaiting local A-ASSOCIATE response
	sta4                   // awaiting transport connection opening
	sta5                   // awaiting A-ASSOCIATE-AC or -RJ
	sta6                   // association established
	sta7                   // awaiting A-RELEASE-RP
	sta8                   // awaiting local A-RELEASE response
	sta9                   // release collision, requestor: awaiting local A-RELEASE response
	sta10                  // release collision, acceptor: awaiting A-RELEASE-RP
	sta11                  // release collision, requestor: awaiting A-RELEASE-RP
	sta12                  // release collision, acceptor: awaiting local A-RELEASE response
	sta13                  // awaiting transport connection close
)

func (s state) String() string { return fmt.Sprintf("Sta%d", uint8(s)) }

// event is an event of PS3.8 table 9-10. Numbers are those of the table.
type event uint8

const (
	evtAssociateRequest event = iota + 1
	evtConnected
	evtAssociateAC
	evtAssociateRJ
	evtConnectionIndication
	evtAssociateRQ
	evtAccept
	evtReject
	evtPDataRequest
	evtPDataTF
	evtReleaseRequest
	evtReleaseRQ
	evtReleaseRP
	evtReleaseResponse
	evtAbortRequest
	evtAbort
	evtClosed
	evtARTIM
	evtInvalid
)

func (e event) String() string { return fmt.Sprintf("Evt%d", uint8(e)) }

// action is an action of PS3.8 tables 9-6 to 9-9.
type action uint8

const (
	ae1  action = iota + 1 // issue transport connect
	ae2                    // send A-ASSOCIATE-RQ
	ae3                    // confirm acceptance
	ae4                    // confirm rejection, close
	ae5                    // start ARTIM
	ae6                    // stop ARTIM, indicate the request or reject it
	ae7                    // send A-ASSOCIATE-AC
	ae8                    // send A-ASSOCIATE-RJ, start ARTIM
	dt1                    // send P-DATA-TF
	dt2                    // indicate P-DATA
	ar1                    // send A-RELEASE-RQ
	ar2                    // indicate release
	ar3                    // confirm release, close
	ar4                    // send A-RELEASE-RP, start ARTIM
	ar5                    // stop ARTIM
	ar6                    // indicate P-DATA
	ar7                    // send P-DATA-TF
	ar8                    // indicate release (collision)
	ar9                    // send A-RELEASE-RP
	ar10                   // confirm release
	aa1                    // send A-ABORT (service-user), start ARTIM
	aa2                    // stop ARTIM, close
	aa3                    // indicate abort, close
	aa4                    // indicate provider abort
	aa5                    // stop ARTIM
	aa6                    // ignore
	aa7                    // send A-ABORT
	aa8                    // send A-ABORT (service-provider), indicate provider abort, start ARTIM
)

func (a action) String() string {
	names := [...]string{
		"", "AE-1", "AE-2", "AE-3", "AE-4", "AE-5", "AE-6", "AE-7", "AE-8", "DT-1", "DT-2",
		"AR-1", "AR-2", "AR-3", "AR-4", "AR-5", "AR-6", "AR-7", "AR-8", "AR-9", "AR-10",
		"AA-1", "AA-2", "AA-3", "AA-4", "AA-5", "AA-6", "AA-7", "AA-8",
	}
	return names[a]
}

// transition is a cell of PS3.8 table 9-10.
type transition struct {
	action action
	next   state
}

// table is PS3.8 table 9-10. Two of its cells depend on more than state and event: AE-6 ends in
// Sta3 or, if the service-provider rejects by itself, in Sta13; AR-8 ends in Sta9 for the requestor
// and in Sta10 for the acceptor. The table holds the first state of each.
var table = func() (t [sta13 + 1][evtInvalid + 1]transition) {
	on := func(e event, a action, next state, in ...state) {
		for _, s := range in {
			t[s][e] = transition{a, next}
		}
	}
	exchanging := []state{sta6, sta7, sta8, sta9, sta10, sta11, sta12}

	on(evtAssociateRequest, ae1, sta4, sta1)
	on(evtConnected, ae2, sta5, sta4)

	on(evtAssociateAC, aa1, sta13, sta2)
	on(evtAssociateAC, aa8, sta13, sta3)
	on(evtAssociateAC, ae3, sta6, sta5)
	on(evtAssociateAC, aa8, sta13, exchanging...)
	on(evtAssociateAC, aa6, sta13, sta13)

	on(evtAssociateRJ, aa1, sta13, sta2)
	on(evtAssociateRJ, aa8, sta13, sta3)
	on(evtAssociateRJ, ae4, sta1, sta5)
	on(evtAssociateRJ, aa8, sta13, exchanging...)
	on(evtAssociateRJ, aa6, sta13, sta13)

	on(evtConnectionIndication, ae5, sta2, sta1)

	on(evtAssociateRQ, ae6, sta3, sta2)
	on(evtAssociateRQ, aa8, sta13, sta3, sta5)
	on(evtAssociateRQ, aa8, sta13, exchanging...)
	on(evtAssociateRQ, aa7, sta13, sta13)

	on(evtAccept, ae7, sta6, sta3)
	on(evtReject, ae8, sta13, sta3)

	on(evtPDataRequest, dt1, sta6, sta6)
	on(evtPDataRequest, ar7, sta8, sta8)

	on(evtPDataTF, aa1, sta13, sta2)
	on(evtPDataTF, aa8, sta13, sta3, sta5)
	on(evtPDataTF, dt2, sta6, sta6)
	on(evtPDataTF, ar6, sta7, sta7)
	on(evtPDataTF, aa8, sta13, sta8, sta9, sta10, sta11, sta12)
	on(evtPDataTF, aa6, sta13, sta13)

	on(evtReleaseRequest, ar1, sta7, sta6)

	on(evtReleaseRQ, aa1, sta13, sta2)
	on(evtReleaseRQ, aa8, sta13, sta3, sta5)
	on(evtReleaseRQ, ar2, sta8, sta6)
	on(evtReleaseRQ, ar8, sta9, sta7)
	on(evtReleaseRQ, aa8, sta13, sta8, sta9, sta10, sta11, sta12)
	on(evtReleaseRQ, aa6, sta13, sta13)

	on(evtReleaseRP, aa1, sta13, sta2)
	on(evtReleaseRP, aa8, sta13, sta3, sta5, sta6)
	on(evtReleaseRP, ar3, sta1, sta7)
	on(evtReleaseRP, aa8, sta13, sta8, sta9)
	on(evtReleaseRP, ar10, sta12, sta10)
	on(evtReleaseRP, ar3, sta1, sta11)
	on(evtReleaseRP, aa8, sta13, sta12)
	on(evtReleaseRP, aa6, sta13, sta13)

	on(evtReleaseResponse, ar4, sta13, sta8)
	on(evtReleaseResponse, ar9, sta11, sta9)
	on(evtReleaseResponse, ar4, sta13, sta12)

	on(evtAbortRequest, aa1, sta13, sta3)
	on(evtAbortRequest, aa2, sta1, sta4)
	on(evtAbortRequest, aa1, sta13, sta5)
	on(evtAbortRequest, aa1, sta13, exchanging...)

	on(evtAbort, aa2, sta1, sta2)
	on(evtAbort, aa3, sta1, sta3, sta5)
	on(evtAbort, aa3, sta1, exchanging...)
	on(evtAbort, aa2, sta1, sta13)

	on(evtClosed, aa5, sta1, sta2)
	on(evtClosed, aa4, sta1, sta3, sta4, sta5)
	on(evtClosed, aa4, sta1, exchanging...)
	on(evtClosed, ar5, sta1, sta13)

	on(evtARTIM, aa2, sta1, sta2, sta13)

	on(evtInvalid, aa1, sta13, sta2)
	on(evtInvalid, aa8, sta13, sta3, sta5)
	on(evtInvalid, aa8, sta13, exchanging...)
	on(evtInvalid, aa7, sta13, sta13)
	return t
}()

// lookup returns the transition for e in s. ok is false if the cell of PS3.8 table 9-10 is empty.
func lookup(s state, e event, acceptor bool) (transition, bool) {
	if s < sta1 || s > sta13 || e < evtAssociateRequest || e > evtInvalid {
		return transition{}, false
	}
	t := table[s][e]
	if t.action == ar8 && acceptor {
		t.next = sta10
	}
	return t, t.action != 0
}
