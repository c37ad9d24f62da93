package storescp_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/dicomnet/dataset/stream"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/internal/storescp"
)

const statusNotAuthorized dicomnet.Status = 0x0124

func TestAnInstanceReachesTheRetrievalOfItsStudyWhateverTheMoveOriginatorIs(t *testing.T) {
	s := listen(t, nil)
	first, one := s.lease(t, pacs("a", "PACSA"), "1.1")
	second, two := s.lease(t, pacs("a", "PACSA"), "1.2")
	if first.AETitle() != "GATEWAY" || first.MessageID() == second.MessageID() {
		t.Fatalf("title %q, message IDs %d and %d", first.AETitle(), first.MessageID(), second.MessageID())
	}
	assoc := s.mustDial(t, "PACSA", "GATEWAY")
	other := s.mustDial(t, "PACSA", "GATEWAY")
	for i, originator := range []uint16{0, first.MessageID(), second.MessageID(), 7777} {
		for _, on := range []*dicomnet.Association{assoc, other} {
			instance := "9." + string(rune('1'+i))
			for _, study := range []string{"1.1", "1.2"} {
				if status := send(t, on, image{study: study, series: study + ".1", instance: study + "." + instance, originator: originator}); status != 0 {
					t.Errorf("status %v with originator %d", status, originator)
				}
			}
		}
	}
	if one.count() != 8 || two.count() != 8 {
		t.Errorf("%d and %d instances arrived, want 8 and 8", one.count(), two.count())
	}
	for i, got := range []*received{one, two} {
		for _, uid := range got.instances {
			if !strings.HasPrefix(uid, []string{"1.1.9.", "1.2.9."}[i]) {
				t.Errorf("instance %s reached retrieval %d", uid, i)
			}
		}
	}
}

func TestTheDataSetArrivesByteForByte(t *testing.T) {
	s := listen(t, nil)
	_, got := s.lease(t, pacs("a", "PACSA"), "1.1")
	i := image{study: "1.1", series: "1.1.1", instance: "1.1.1.1", comment: strings.Repeat("x", 9000)}
	send(t, s.mustDial(t, "PACSA", "GATEWAY"), i)
	if !bytes.Equal(got.data[0], i.encode()) {
		t.Error("the data set has changed")
	}
}

func TestTheStatusIsThatOfTheReceiver(t *testing.T) {
	s := listen(t, nil)
	_, got := s.lease(t, pacs("a", "PACSA"), "1.1")
	got.answer = dicomnet.StatusOutOfResources
	if status := send(t, s.mustDial(t, "PACSA", "GATEWAY"), image{study: "1.1", series: "1", instance: "2"}); status != dicomnet.StatusOutOfResources {
		t.Errorf("status %v", status)
	}
}

func TestManyAssociationsServeOneRetrieval(t *testing.T) {
	s := listen(t, nil)
	_, got := s.lease(t, pacs("a", "PACSA"), "1.1")
	for i := range 7 {
		assoc := s.mustDial(t, "PACSA", "GATEWAY")
		if status := send(t, assoc, image{study: "1.1", series: "1", instance: "2." + string(rune('1'+i))}); status != 0 {
			t.Errorf("status %v", status)
		}
		if err := assoc.Close(); err != nil {
			t.Error(err)
		}
	}
	if got.count() != 7 {
		t.Errorf("%d instances arrived", got.count())
	}
}

func TestWhatNoRetrievalWaitsForIsRefusedAndTheRestIsNot(t *testing.T) {
	s := listen(t, nil)
	_, got := s.lease(t, pacs("a", "PACSA"), "1.1", "1.1.1")
	assoc := s.mustDial(t, "PACSA", "GATEWAY")
	for _, test := range []struct {
		name string
		image
		status dicomnet.Status
	}{
		{"another study", image{study: "1.2", series: "1.1.1", instance: "5"}, statusNotAuthorized},
		{"another series", image{study: "1.1", series: "1.1.2", instance: "5"}, statusNotAuthorized},
		{"no study", image{series: "1.1.1", instance: "5"}, statusNotAuthorized},
		{"another instance in the command", image{study: "1.1", series: "1.1.1", instance: "5", commandInstance: "6"}, 0xA900},
		{"as asked for", image{study: "1.1", series: "1.1.1", instance: "5"}, dicomnet.StatusSuccess},
		{"a name for a file", image{study: "1.1", series: "1.1.1", instance: "5", commandInstance: "../../etc/x"}, 0x0117},
	} {
		if status := send(t, assoc, test.image); status != test.status {
			t.Errorf("%s: status %v, want %v", test.name, status, test.status)
		}
	}
	if !slices.Equal(got.instances, []string{"5"}) {
		t.Errorf("instances %v arrived", got.instances)
	}
	if want := []string{"a unexpected 1", "a unexpected 2", "a unexpected 3", "a mismatched 4"}; !slices.Equal(s.events.refused, want) {
		t.Errorf("refused: %q, want %q", s.events.refused, want)
	}
	if err := assoc.Close(); err != nil {
		t.Error(err)
	}
	if n := <-s.events.ended; n != 4 {
		t.Errorf("the association ended with %d refused instances", n)
	}
}

func TestAnInstanceWithoutReadableUIDsIsRefused(t *testing.T) {
	s := listen(t, nil)
	_, got := s.lease(t, pacs("a", "PACSA"), "1.1")
	assoc := s.mustDial(t, "PACSA", "GATEWAY")
	valid := image{study: "1.1", series: "1.1.1", instance: "5"}.encode()
	meta := []byte{2, 0, 0x10, 0, 'U', 'I', 2, 0, '1', 0}
	for name, data := range map[string][]byte{
		"truncated": valid[:30], "garbage": bytes.Repeat([]byte{0xfe}, 100), "group 0002": append(meta, valid...),
		"a file": append(append(make([]byte, 128), "DICM"...), valid...),
	} {
		status, err := assoc.Store(t.Context(), dicomnet.StoreRequest{SOPClassUID: ctImage, SOPInstanceUID: "5", Data: data})
		if status != dicomnet.StatusUnableToProcess {
			t.Errorf("%s: status %v, %v", name, status, err)
		}
	}
	if status := send(t, assoc, image{study: "1.1", series: "1.1.1", instance: "5"}); status != 0 || got.count() != 1 {
		t.Errorf("status %v, %d instances", status, got.count())
	}
}

func TestAssociationsOfOthersAreRejected(t *testing.T) {
	elsewhere := pacs("elsewhere", "ELSEWHERE")
	elsewhere.Settings = &pool.Settings{StoreFrom: []netip.Prefix{prefix("192.0.2.0/24")}}
	here := pacs("here", "HERE")
	here.Host = "192.0.2.1"
	here.Settings = &pool.Settings{StoreFrom: []netip.Prefix{prefix("127.0.0.0/8")}, StoreCallingAETitles: []string{"SENDER", "SENDER2"}}
	s := listen(t, func(o *storescp.Options) {
		o.PACS = func() []pool.Peer { return []pool.Peer{elsewhere, here, pacs("a", "PACSA")} }
		o.AETitles = []string{"GATEWAY", "GATEWAY2"}
	})
	for _, test := range []struct {
		calling, called string
		reason          byte // 0: accepted
		observed        string
	}{
		{"PACSA", "GATEWAY", 0, "a PACSA to GATEWAY"},
		{"PACSA", "GATEWAY2", 0, "a PACSA to GATEWAY2"},
		{"SENDER", "GATEWAY", 0, "here SENDER to GATEWAY"},
		{"SENDER2", "GATEWAY", 0, "here SENDER2 to GATEWAY"},
		{"HERE", "GATEWAY", 3, " HERE to GATEWAY rejected 1/1/3"},
		{"PACSA", "GATEWAY3", 7, " PACSA to GATEWAY3 rejected 1/1/7"},
		{"pacsa", "GATEWAY", 3, " pacsa to GATEWAY rejected 1/1/3"},
		{"ELSEWHERE", "GATEWAY", 3, " ELSEWHERE to GATEWAY rejected 1/1/3"},
		{"STRANGER", "NOBODY", 7, " STRANGER to NOBODY rejected 1/1/7"},
	} {
		assoc, err := s.dial(t.Context(), test.calling, test.called)
		rejected, _ := errors.AsType[*dicomnet.RejectError](err)
		switch {
		case test.reason == 0 && err == nil:
			_ = assoc.Close()
		case test.reason == 0 || rejected == nil || *rejected != dicomnet.RejectError{Result: 1, Source: 1, Reason: test.reason}:
			t.Errorf("%s to %s: %v", test.calling, test.called, err)
		}
		if seen := s.events.associated[len(s.events.associated)-1]; seen != test.observed {
			t.Errorf("observed %q, want %q", seen, test.observed)
		}
	}
}

func TestAPACSCannotAnswerTheRetrievalOfAnother(t *testing.T) {
	s := listen(t, nil)
	_, got := s.lease(t, pacs("a", "PACSA"), "1.1")
	if status := send(t, s.mustDial(t, "PACSB", "GATEWAY"), image{study: "1.1", series: "1", instance: "2"}); status != statusNotAuthorized {
		t.Errorf("status %v", status)
	}
	if got.count() != 0 {
		t.Error("an instance of another PACS arrived")
	}
}

func TestEqualStudiesOfTwoPACSArriveSeparatelyThroughOneTitle(t *testing.T) {
	s := listen(t, nil)
	_, one := s.lease(t, pacs("a", "PACSA"), "1.1")
	_, two := s.lease(t, pacs("b", "PACSB"), "1.1")
	for i, from := range []string{"PACSA", "PACSB"} {
		send(t, s.mustDial(t, from, "GATEWAY"), image{study: "1.1", series: "1", instance: "2", comment: from})
		for j, got := range []*received{one, two} {
			if want := min(1, max(0, i-j+1)); got.count() != want {
				t.Errorf("after %s, retrieval %d has %d instances, want %d", from, j, got.count(), want)
			}
		}
	}
}

func TestTooManyAssociationsAreRejectedTransiently(t *testing.T) {
	s := listen(t, func(o *storescp.Options) {
		o.MaxAssociations = 4
		other := pacs("other", "PACSA")
		other.Host = "127.0.0.2"
		o.PACS = func() []pool.Peer { return []pool.Peer{pacs("a", "PACSA"), other} }
	})
	rejected := func(from string) {
		t.Helper()
		_, err := s.dialFrom(t.Context(), from, "PACSA", "GATEWAY")
		if rejected, ok := errors.AsType[*dicomnet.RejectError](err); !ok || *rejected != (dicomnet.RejectError{Result: 2, Source: 3, Reason: 2}) {
			t.Fatalf("%v, want a rejection 2/3/2", err)
		}
	}
	first := s.mustDial(t, "PACSA", "GATEWAY")
	s.mustDial(t, "PACSA", "GATEWAY")
	s.mustDial(t, "PACSA", "GATEWAY")
	rejected("127.0.0.1") // three quarters
	if runtime.GOOS == "linux" {
		assoc, err := s.dialFrom(t.Context(), "127.0.0.2", "PACSA", "GATEWAY")
		if err != nil {
			t.Fatal(err)
		}
		rejected("127.0.0.2") // all
		_ = assoc.Close()
		<-s.events.ended
	}
	if err := first.Close(); err != nil {
		t.Error(err)
	}
	<-s.events.ended
	s.mustDial(t, "PACSA", "GATEWAY")
}

func TestEchoIsAnsweredAndOtherServicesAreNotAccepted(t *testing.T) {
	s := listen(t, nil)
	explicit := []dataset.TransferSyntax{dataset.ExplicitVRLittleEndian}
	assoc := s.mustDial(t, "PACSA", "GATEWAY",
		dicomnet.Context{AbstractSyntax: dicomnet.VerificationSOPClass, TransferSyntaxes: explicit},
		dicomnet.Context{AbstractSyntax: dicomnet.StudyRoot.Find, TransferSyntaxes: explicit},
		dicomnet.Context{AbstractSyntax: dicomnet.StudyRoot.Move, TransferSyntaxes: explicit},
		dicomnet.Context{AbstractSyntax: "1.2.840.10008.3.1.2.3.3", TransferSyntaxes: explicit})
	if err := assoc.Echo(t.Context()); err != nil {
		t.Error(err)
	}
	for _, pc := range assoc.Contexts()[1:] {
		if pc.Result != dicomnet.ContextAbstractSyntaxNotSupported {
			t.Errorf("%s: %v", pc.AbstractSyntax, pc.Result)
		}
	}
}

func TestAStoreThatComesLateIsRefused(t *testing.T) {
	s := listen(t, nil)
	lease, got := s.lease(t, pacs("a", "PACSA"), "1.1")
	assoc := s.mustDial(t, "PACSA", "GATEWAY")
	send(t, assoc, image{study: "1.1", series: "1", instance: "2"})
	lease.Release()
	for range 3 {
		if status := send(t, assoc, image{study: "1.1", series: "1", instance: "3", originator: lease.MessageID()}); status != statusNotAuthorized {
			t.Errorf("status %v", status)
		}
	}
	if got.count() != 1 {
		t.Errorf("%d instances arrived", got.count())
	}
}

func TestReleaseEndsTheContextOfARunningStore(t *testing.T) {
	s := listen(t, nil)
	entered, left := make(chan struct{}), make(chan error, 1)
	lease, err := s.Lease(t.Context(), storescp.Expectation{
		Peer: pacs("a", "PACSA"), StudyInstanceUID: "1.1",
		Receive: func(ctx context.Context, _ *dicomnet.Instance, _ stream.Head, _ []byte) dicomnet.Status {
			close(entered)
			<-ctx.Done()
			left <- context.Cause(ctx)
			return statusNotAuthorized
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		<-entered
		lease.Release()
	}()
	if status := send(t, s.mustDial(t, "PACSA", "GATEWAY"), image{study: "1.1", series: "1", instance: "2"}); status != statusNotAuthorized {
		t.Errorf("status %v", status)
	}
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestALeaseThatCannotBeGivenSaysWhy(t *testing.T) {
	s := listen(t, func(o *storescp.Options) {
		o.LookupHost = func(context.Context, string) ([]string, error) {
			return nil, &net.DNSError{Err: "no such host", IsNotFound: true}
		}
	})
	receive := newReceived().receive
	elsewhere := pacs("a", "PACSA")
	elsewhere.Settings = &pool.Settings{MoveDestinations: []string{"ANOTHER"}}
	_, err := s.Lease(t.Context(), storescp.Expectation{Peer: elsewhere, StudyInstanceUID: "1", Receive: receive})
	if _, ok := errors.AsType[*storescp.NoTitleError](err); !ok {
		t.Errorf("no title: %v", err)
	}
	unknown := pacs("a", "PACSA")
	unknown.Host = "pacs.example"
	_, err = s.Lease(t.Context(), storescp.Expectation{Peer: unknown, StudyInstanceUID: "1", Receive: receive})
	if _, ok := errors.AsType[*dicomnet.ConnectError](err); !ok {
		t.Errorf("no address: %v", err)
	}
	for _, e := range []storescp.Expectation{
		{Peer: pacs("a", "PACSA"), Receive: receive},
		{Peer: pacs("a", "PACSA"), StudyInstanceUID: "1"},
		{Peer: pacs("a", "PACSA"), StudyInstanceUID: "1", SOPInstanceUID: "1.2", Receive: receive},
	} {
		if _, err := s.Lease(t.Context(), e); err == nil {
			t.Errorf("a lease was given for %+v", e)
		}
	}
	s.lease(t, pacs("a", "PACSA"), "1.1")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, errLeft)
	defer cancel()
	if _, err := s.Lease(ctx, storescp.Expectation{Peer: pacs("a", "PACSA"), StudyInstanceUID: "1.1", Receive: receive}); !errors.Is(err, errLeft) {
		t.Errorf("in use: %v", err)
	}
}

var errLeft = errors.New("the caller has left")

func TestCloseEndsLeasesAndAssociations(t *testing.T) {
	s := listen(t, nil)
	lease, _ := s.lease(t, pacs("a", "PACSA"), "1.1")
	assoc := s.mustDial(t, "PACSA", "GATEWAY")
	waiting := make(chan error, 1)
	go func() {
		_, err := s.Lease(t.Context(), storescp.Expectation{Peer: pacs("a", "PACSA"), StudyInstanceUID: "1.1", Receive: newReceived().receive})
		waiting <- err
	}()
	quiet := make(chan error, 1)
	go func() { quiet <- lease.Quiet(t.Context()) }()
	s.Close()
	if err := <-waiting; !errors.Is(err, storescp.ErrClosed) {
		t.Errorf("waiting: %v", err)
	}
	if err := <-quiet; !errors.Is(err, storescp.ErrClosed) {
		t.Errorf("quiet: %v", err)
	}
	if _, err := store(t.Context(), assoc, image{study: "1.1", series: "1", instance: "2"}); err == nil {
		t.Error("the association is still open")
	}
	if _, err := s.Lease(t.Context(), storescp.Expectation{Peer: pacs("a", "PACSA"), StudyInstanceUID: "1.2", Receive: newReceived().receive}); !errors.Is(err, storescp.ErrClosed) {
		t.Errorf("a lease of a closed SCP: %v", err)
	}
}
