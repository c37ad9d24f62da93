package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"

	"dicom-qr-gateway/test/load/wire"
)

// caller is the requestor.
type caller struct {
	t *testing.T
	net.Conn
	explicit bool
}

func dial(t *testing.T) *caller {
	t.Helper()
	here, there := net.Pipe()
	done := make(chan struct{})
	go func() {
		defer close(done)
		serve(there)
	}()
	t.Cleanup(func() {
		_ = here.Close()
		<-done
	})
	return &caller{t: t, Conn: here}
}

func (c *caller) send(pdus ...[]byte) {
	c.t.Helper()
	if _, err := c.Write(slices.Concat(pdus...)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *caller) receive() (kind byte, body []byte) {
	c.t.Helper()
	header := make([]byte, wire.HeaderLength)
	if _, err := io.ReadFull(c, header); err != nil {
		c.t.Fatal(err)
	}
	body = make([]byte, binary.BigEndian.Uint32(header[2:]))
	if _, err := io.ReadFull(c, body); err != nil {
		c.t.Fatal(err)
	}
	return header[0], body
}

// associate proposes a presentation context with these transfer syntaxes and returns its result.
func (c *caller) associate(contextID byte, syntaxes ...string) (result byte, syntax string) {
	c.t.Helper()
	proposed := wire.Item(wire.ItemAbstractSyntax, []byte(wire.StudyRootFind))
	for _, s := range syntaxes {
		proposed = append(proposed, wire.Item(wire.ItemTransferSyntax, []byte(s))...)
	}
	c.send(wire.PDU(wire.AssociateRQ, make([]byte, 68), wire.Item(wire.ItemContextRQ, []byte{contextID, 0, 0, 0}, proposed)))
	kind, body := c.receive()
	if kind != wire.AssociateAC {
		c.t.Fatalf("PDU type %02X", kind)
	}
	items(body[68:], func(kind byte, body []byte) {
		if kind == wire.ItemContextAC && body[0] == contextID {
			result = body[2]
			items(body[4:], func(_ byte, body []byte) { syntax = string(body) })
		}
	})
	c.explicit = syntax == wire.ExplicitLittleEndian
	return result, syntax
}

func findCommand(messageID uint16) []byte {
	return wire.CommandSet(
		wire.CommandElement(0x0100, wire.Uint16(wire.CFindRQ)),
		wire.CommandElement(0x0110, wire.Uint16(messageID)),
		wire.CommandElement(0x0800, wire.Uint16(wire.HasDataSet)),
	)
}

func (c *caller) identifier(patientID string) []byte {
	cs, lo := "CS", "LO"
	if !c.explicit {
		cs, lo = "", ""
	}
	return append(wire.Element(0x0008, 0x0052, cs, []byte("STUDY ")), wire.Element(0x0010, 0x0020, lo, wire.Even(patientID, ' '))...)
}

// find sends a C-FIND-RQ, reads all responses and returns the identifiers.
func (c *caller) find(contextID byte, messageID uint16, patientID string) [][]byte {
	c.t.Helper()
	c.send(
		wire.PDV(contextID, wire.Command|wire.Last, findCommand(messageID)),
		wire.PDV(contextID, wire.Last, c.identifier(patientID)),
	)
	return c.responses(contextID, messageID)
}

func (c *caller) responses(contextID byte, messageID uint16) (identifiers [][]byte) {
	c.t.Helper()
	for {
		_, body := c.receive()
		command := body[6:]
		if body[4] != contextID || body[5] != wire.Command|wire.Last {
			c.t.Fatalf("not a command set on context %d: % X", contextID, body[:6])
		}
		if n := binary.LittleEndian.Uint32(wire.Find(command, false, 0, 0)); int(n) != len(command)-12 {
			c.t.Fatalf("group length %d in %d bytes", n, len(command))
		}
		if got := binary.LittleEndian.Uint16(wire.Find(command, false, 0, 0x0120)); got != messageID {
			c.t.Fatalf("response to message %d, not to %d", got, messageID)
		}
		if got := binary.LittleEndian.Uint16(wire.Find(command, false, 0, 0x0100)); got != wire.CFindRSP {
			c.t.Fatalf("command %04X", got)
		}
		status := wire.Find(command, false, 0, 0x0900)
		if !bytes.HasSuffix(command, status) {
			c.t.Fatal("the status is not the last element")
		}
		if binary.LittleEndian.Uint16(status) == wire.Success {
			return identifiers
		}
		_, body = c.receive()
		if body[4] != contextID || body[5] != wire.Last {
			c.t.Fatalf("not a data set on context %d: % X", contextID, body[:6])
		}
		identifiers = append(identifiers, body[6:])
	}
}

func TestPatientIDDeterminesTheNumberOfStudies(t *testing.T) {
	for _, syntax := range []string{wire.ImplicitLittleEndian, wire.ExplicitLittleEndian} {
		for patientID, want := range map[string]int{
			"BENCH-1": 1, "BENCH-25": 25, "BENCH-0": 0, "BENCH-": 0, "BENCH-x": 0, "BENCH-9999999": 0, "PDUS-3": 3, "PDUS-": 0, "WEB-4": 4, "WEB-x": 0, "DOE": 0, "": 0,
		} {
			t.Run(syntax+" "+patientID, func(t *testing.T) {
				c := dial(t)
				c.associate(1, syntax)
				studies := map[string]bool{}
				for _, identifier := range c.find(1, 1, patientID) {
					if got := strings.TrimSpace(string(wire.Find(identifier, c.explicit, 0x0010, 0x0020))); got != patientID {
						t.Errorf("a study of %q", got)
					}
					for _, key := range []uint32{
						0x00080020, 0x00080030, 0x00080050, 0x00080061, 0x00080080, 0x00080090, 0x00081030, 0x00081050, 0x00100010, 0x00100030, 0x0020000d,
					} {
						if len(wire.Find(identifier, c.explicit, uint16(key>>16), uint16(key))) == 0 {
							t.Errorf("no %08X", key)
						}
					}
					studies[string(wire.Find(identifier, c.explicit, 0x0020, 0x000d))] = true
				}
				if len(studies) != want {
					t.Errorf("%d different studies, want %d", len(studies), want)
				}
			})
		}
	}
}

func TestImageLevelGivesTheInstancesOfAStudy(t *testing.T) {
	for _, syntax := range []string{wire.ImplicitLittleEndian, wire.ExplicitLittleEndian} {
		c := dial(t)
		c.associate(1, syntax)
		ask := func(study string) [][]byte {
			cs, ui := "CS", "UI"
			if !c.explicit {
				cs, ui = "", ""
			}
			c.send(
				wire.PDV(1, wire.Command|wire.Last, findCommand(1)),
				wire.PDV(1, wire.Last, append(wire.Element(0x0008, 0x0052, cs, []byte("IMAGE ")), wire.Element(0x0020, 0x000d, ui, wire.Even(study, 0))...)),
			)
			return c.responses(1, 1)
		}
		instances := map[string]bool{}
		for _, identifier := range ask(studyRoot + "12.1") {
			if got := strings.Trim(string(wire.Find(identifier, c.explicit, 0x0020, 0x000d)), "\x00"); got != studyRoot+"12.1" {
				t.Errorf("an instance of %q", got)
			}
			instances[string(wire.Find(identifier, c.explicit, 0x0008, 0x0018))] = true
		}
		if len(instances) != 12 {
			t.Errorf("%d different instances", len(instances))
		}
		if got := ask("1.2.3"); len(got) != 0 {
			t.Errorf("%d instances of an unknown study", len(got))
		}
	}
}

func TestAssociationServesSeveralQueries(t *testing.T) {
	c := dial(t)
	c.associate(5, wire.ImplicitLittleEndian)
	for _, messageID := range []uint16{1, 2, 300, 65535, 1} {
		for _, n := range []int{3, 1, 10} {
			if got := len(c.find(5, messageID, fmt.Sprint("BENCH-", n))); got != n {
				t.Errorf("message %d: %d studies, want %d", messageID, got, n)
			}
		}
	}
}

func TestFragmentedRequest(t *testing.T) {
	c := dial(t)
	c.associate(1, wire.ExplicitLittleEndian)
	command, identifier := findCommand(7), c.identifier("BENCH-2")
	c.send(
		wire.PDV(1, wire.Command, command[:5]), wire.PDV(1, wire.Command|wire.Last, command[5:]),
		wire.PDV(1, 0, identifier[:9]), wire.PDV(1, wire.Last, identifier[9:]),
	)
	if got := len(c.responses(1, 7)); got != 2 {
		t.Errorf("%d studies", got)
	}
}

func TestFirstSupportedTransferSyntaxIsAccepted(t *testing.T) {
	const deflated = "1.2.840.10008.1.2.1.99"
	for _, v := range []struct {
		proposed []string
		result   byte
		accepted string
	}{
		{[]string{wire.ExplicitLittleEndian, wire.ImplicitLittleEndian}, 0, wire.ExplicitLittleEndian},
		{[]string{wire.ImplicitLittleEndian, wire.ExplicitLittleEndian}, 0, wire.ImplicitLittleEndian},
		{[]string{deflated, wire.ImplicitLittleEndian + "\x00"}, 0, wire.ImplicitLittleEndian},
		{[]string{deflated}, 4, wire.ImplicitLittleEndian},
	} {
		if result, syntax := dial(t).associate(3, v.proposed...); result != v.result || syntax != v.accepted {
			t.Errorf("%q: result %d, %q", v.proposed, result, syntax)
		}
	}
}

func TestReleaseClosesTheConnection(t *testing.T) {
	c := dial(t)
	c.associate(1, wire.ImplicitLittleEndian)
	c.send(wire.PDU(wire.ReleaseRQ, make([]byte, 4)))
	if kind, _ := c.receive(); kind != wire.ReleaseRP {
		t.Errorf("PDU type %02X", kind)
	}
	if _, err := c.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // never wrapped
		t.Error(err)
	}
}

func TestUnexpectedPDUClosesTheConnection(t *testing.T) {
	echo := wire.CommandSet(wire.CommandElement(0x0100, wire.Uint16(0x0030)), wire.CommandElement(0x0110, wire.Uint16(1)))
	for name, sent := range map[string][]byte{
		"another operation": append(wire.PDV(1, wire.Command|wire.Last, echo), wire.PDV(1, wire.Last, nil)...),
		"another PDU":       wire.PDU(0x09),
		"a short request":   wire.PDU(wire.AssociateRQ, make([]byte, 10)),
		"a broken PDV":      wire.PDU(wire.PDataTF, []byte{0, 0, 9, 9, 1, 3}),
		"an endless PDU":    {wire.PDataTF, 0, 0xff, 0xff, 0xff, 0xff},
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t)
			c.send(sent)
			if _, err := c.Read(make([]byte, 1)); err != io.EOF { //nolint:errorlint // never wrapped
				t.Error(err)
			}
		})
	}
}

func TestFindReturnsNilForALengthBeyondTheEnd(t *testing.T) {
	b := wire.Element(0x0010, 0x0020, "", []byte("AB"))
	b[4] = 200
	if wire.Find(b, false, 0x0010, 0x0020) != nil {
		t.Error("a value beyond the end")
	}
}

// storage associates with C-GET on context 1 and CT Image Storage on context 3.
func (c *caller) storage(maxLength uint32) {
	c.t.Helper()
	proposal := func(id byte, abstract, syntax string) []byte {
		return wire.Item(wire.ItemContextRQ, []byte{id, 0, 0, 0},
			wire.Item(wire.ItemAbstractSyntax, []byte(abstract)), wire.Item(wire.ItemTransferSyntax, []byte(syntax)))
	}
	c.send(wire.PDU(wire.AssociateRQ, make([]byte, 68),
		proposal(1, wire.StudyRootGet, wire.ImplicitLittleEndian), proposal(3, wire.CTImageStorage, wire.ExplicitLittleEndian),
		wire.Item(wire.ItemUser, wire.Item(wire.ItemMaxLength, binary.BigEndian.AppendUint32(nil, maxLength)), wire.RoleSelection(wire.CTImageStorage))))
	kind, body := c.receive()
	if kind != wire.AssociateAC || !bytes.Contains(body, wire.RoleSelection(wire.CTImageStorage)) {
		c.t.Fatalf("PDU type %02X, or the role is not accepted", kind)
	}
}

// get sends a C-GET-RQ.
func (c *caller) get(study string) {
	c.t.Helper()
	c.send(wire.PDV(1, wire.Command|wire.Last, wire.CommandSet(
		wire.CommandElement(0x0100, wire.Uint16(wire.CGetRQ)),
		wire.CommandElement(0x0110, wire.Uint16(7)),
		wire.CommandElement(0x0800, wire.Uint16(wire.HasDataSet)),
	)), wire.PDV(1, wire.Last, append(wire.Element(0x0008, 0x0052, "", []byte("STUDY ")), wire.Element(0x0020, 0x000d, "", wire.Even(study, 0))...)))
}

// stored reads a C-STORE and its data set, or the final response: the status.
func (c *caller) stored() (dataSet []byte, status uint16, final bool) {
	c.t.Helper()
	_, body := c.receive()
	if binary.LittleEndian.Uint16(wire.Find(body[6:], false, 0, 0x0100)) == wire.CGetRSP {
		return nil, binary.LittleEndian.Uint16(wire.Find(body[6:], false, 0, 0x0900)), true
	}
	for last := false; !last; {
		_, body := c.receive()
		dataSet, last = append(dataSet, body[6:]...), body[5]&wire.Last != 0
	}
	return dataSet, 0, false
}

func command(field uint16) []byte {
	return wire.PDV(3, wire.Command|wire.Last, wire.CommandSet(wire.CommandElement(0x0100, wire.Uint16(field))))
}

func TestGetSendsTheImagesOfAStudy(t *testing.T) {
	for _, maxLength := range []uint32{4096, 16384, 0, 1 << 30} {
		c := dial(t)
		c.storage(maxLength)
		c.get(imageRoot + "3.20000")
		for image := 1; ; image++ {
			dataSet, status, final := c.stored()
			if final {
				if image != 4 || status != wire.Success {
					t.Errorf("%d images, status %04X", image-1, status)
				}
				break
			}
			if uid := string(wire.Find(dataSet, true, 0x0008, 0x0018)); !strings.HasPrefix(uid, fmt.Sprintf("%s3.20000.1.%d", imageRoot, image)) {
				t.Errorf("image %d is %s", image, uid)
			}
			if pixels := wire.Find(dataSet, true, 0x7fe0, 0x0010); !bytes.Equal(pixels, noise[:20000]) && maxLength > 20006 {
				t.Errorf("%d bytes of pixels", len(pixels))
			} else if len(pixels) != 20000 {
				t.Errorf("%d bytes of pixels", len(pixels))
			}
			c.send(command(wire.CStoreRSP))
		}
	}
}

func TestGetStopsWhenItIsCanceled(t *testing.T) {
	c := dial(t)
	c.storage(16384)
	c.get(imageRoot + "30.100")
	if _, _, final := c.stored(); final {
		t.Fatal("no image")
	}
	c.send(command(wire.CCancelRQ), command(wire.CStoreRSP))
	if _, status, final := c.stored(); !final || status != wire.Canceled {
		t.Errorf("status %04X", status)
	}
}

func TestGetFailsWithoutAContextForStorage(t *testing.T) {
	c := dial(t)
	c.associate(1, wire.ImplicitLittleEndian)
	c.get(imageRoot + "3.100")
	if _, status, final := c.stored(); !final || status != 0xa702 {
		t.Errorf("status %04X", status)
	}
}

func TestStudiesWithImagesAreFound(t *testing.T) {
	for study, want := range map[string]int{"3.100": 3, "x.100": 0, "3.x": 0, "3": 0, "3.1": 0, "3.99999999999": 0} {
		if n, _ := images(imageRoot + study); n != want {
			t.Errorf("%s: %d", study, n)
		}
	}
	c := dial(t)
	c.associate(1, wire.ImplicitLittleEndian)
	for level, want := range map[string]int{"STUDY": 1, "SERIES": 1, "IMAGE": 3} {
		c.send(wire.PDV(1, wire.Command|wire.Last, findCommand(1)), wire.PDV(1, wire.Last, append(
			wire.Element(0x0008, 0x0052, "", wire.Even(level, ' ')), wire.Element(0x0020, 0x000d, "", wire.Even(imageRoot+"3.100", 0))...)))
		found := c.responses(1, 1)
		if len(found) != want {
			t.Errorf("%s: %d", level, len(found))
		}
		for _, identifier := range found {
			if got := strings.TrimSpace(string(wire.Find(identifier, false, 0x0008, 0x0052))); got != level {
				t.Errorf("%s: level %q", level, got)
			}
		}
	}
}
