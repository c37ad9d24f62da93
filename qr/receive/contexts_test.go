package receive

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"dicom-qr-gateway/dicomnet"
	"dicom-qr-gateway/dicomnet/dataset"
	"dicom-qr-gateway/internal/pool"
	"dicom-qr-gateway/qr"
)

const ct, report = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.11"

// syntaxesOf returns what is proposed for a class.
func syntaxesOf(contexts []dicomnet.Context, class string) []dataset.TransferSyntax {
	var list []dataset.TransferSyntax
	for _, pc := range contexts {
		if pc.AbstractSyntax == class {
			list = append(list, pc.TransferSyntaxes...)
		}
	}
	return list
}

func TestTheStorageClassesAreDistinctAndValid(t *testing.T) {
	assert.Len(t, storageClassByUID, len(storageClasses))
	for i := range storageClasses {
		assert.NoError(t, qr.Target{StudyInstanceUID: storageClasses[i].uid}.Check())
		assert.NotEmpty(t, storageClasses[i].modalities)
	}
	assert.Equal(t, ct, classesOf("CT")[0])
	assert.Contains(t, classesOf("SR"), report)
	assert.Empty(t, classesOf(""))
	assert.Empty(t, classesOf("C"))
}

func TestEachContextHasOneTransferSyntaxUncompressedFirst(t *testing.T) {
	p := proposal{classes: []string{ct, report, "1.2.3"}}
	contexts := p.contexts()
	for _, pc := range contexts {
		assert.Len(t, pc.TransferSyntaxes, 1)
		assert.NotContains(t, pc.TransferSyntaxes, dataset.ExplicitVRBigEndian)
		assert.NotContains(t, pc.TransferSyntaxes, dataset.DeflatedExplicitVRLittleEndian)
	}
	image := syntaxesOf(contexts, ct)
	assert.Equal(t, uncompressed, image[:2])
	assert.Equal(t, compressed, image[2:])
	assert.Equal(t, uncompressed, syntaxesOf(contexts, report), "a report is never compressed")
	assert.Subset(t, syntaxesOf(contexts, "1.2.3"), slices.Concat(uncompressed, compressed, moving), "a class that is not known may be anything")
	video := proposal{classes: []string{"1.2.840.10008.5.1.4.1.1.77.1.1.1"}}
	assert.Equal(t, moving[0], syntaxesOf(video.contexts(), video.classes[0])[2])
}

func TestOnlyUncompressedTransferSyntaxesAreProposedIfTheyAreWanted(t *testing.T) {
	p := proposal{classes: []string{ct}, onlyUncompressed: true}
	assert.Equal(t, uncompressed, syntaxesOf(p.contexts(), ct))
	p.again = true
	again := syntaxesOf(p.contexts(), ct)
	assert.Equal(t, convertible, again[:2], "then those that can be converted")
	assert.Equal(t, slices.Concat(uncompressed, obsolete), again[len(again)-4:])
}

// What did not come before may be compressed, and some PACS use the first transfer syntax that is accepted.
func TestCompressedTransferSyntaxesAreFirstTheSecondTime(t *testing.T) {
	p := proposal{classes: []string{ct}, again: true}
	list := syntaxesOf(p.contexts(), ct)
	assert.Equal(t, compressed[0], list[0])
	assert.Equal(t, slices.Concat(uncompressed, obsolete), list[len(list)-4:], "and obsolete ones last")
}

// An ultrasound PACS lists the SOP classes of the study, but not that of each instance, and holds videos.
func TestGuessesLeaveRoomForTheSOPClassesThatThePACSLists(t *testing.T) {
	single, multi := "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.3.1"
	p := proposal{classes: withoutRepetitions(append([]string{single, multi}, classesOf("US")...)), listed: 2, again: true}
	contexts := p.contexts()
	assert.Len(t, contexts, maxStorage)
	for _, class := range p.classes[:2] {
		assert.Subset(t, syntaxesOf(contexts, class), slices.Concat(uncompressed, compressed, moving, obsolete), class)
	}
	for _, class := range p.classes[2:] {
		assert.Contains(t, syntaxesOf(contexts, class), dataset.ExplicitVRLittleEndian, class)
	}
	p.listed = 0
	for _, class := range p.classes {
		assert.Subset(t, syntaxesOf(p.contexts(), class), common, "if all are guesses, each gets the common ones: %s", class)
	}
	first := proposal{classes: []string{single, multi}, listed: 2}
	assert.Subset(t, syntaxesOf(first.contexts(), multi), moving[:3], "clips are often videos")
	assert.NotContains(t, syntaxesOf(first.contexts(), single), moving[0])
}

func TestAReportIsNeverAskedForCompressed(t *testing.T) {
	p := proposal{classes: []string{report}, again: true}
	assert.ElementsMatch(t, slices.Concat(uncompressed, obsolete), syntaxesOf(p.contexts(), report))
}

func TestAProposalHasAtMost126Contexts(t *testing.T) {
	many := make([]string, 200)
	for i := range many {
		many[i] = fmt.Sprintf("1.2.%d", i+1)
	}
	for _, n := range []int{1, 15, 63, 126, 200} {
		for _, again := range []bool{false, true} {
			p := proposal{classes: many[:n], others: many, again: again}
			contexts := p.contexts()
			assert.LessOrEqual(t, len(contexts), maxStorage)
			assert.Len(t, contexts, maxStorage)
			for _, class := range many[:min(n, maxStorage)] {
				list := syntaxesOf(contexts, class)
				assert.Contains(t, list, dataset.ExplicitVRLittleEndian)
				assert.Len(t, withoutRepetitions(slices.Clone(list)), len(list))
			}
		}
	}
	others := proposal{classes: []string{report}, others: []string{report, ct}}
	contexts := others.contexts()
	assert.Len(t, contexts, 3)
	assert.Equal(t, uncompressed[:1], syntaxesOf(contexts, ct))
}

func TestWaysRememberForAWhileWhatAPACSRefused(t *testing.T) {
	now := time.Unix(0, 0)
	w := ways{now: func() time.Time { return now }}
	peer := &qr.Peer{Host: "pacs", Port: 104, CalledAETitle: "PACS", CallingAETitle: "GATEWAY"}
	other := &qr.Peer{Host: "pacs", Port: 104, CalledAETitle: "OTHER", CallingAETitle: "GATEWAY"}
	order := func(p *qr.Peer, scpOff bool) []Way {
		list, _ := w.order(p, scpOff)
		return list
	}
	assert.Equal(t, []Way{WayGet, WayMove}, order(peer, false))
	assert.Equal(t, []Way{WayGet}, order(peer, true))
	w.refuseGet(peer)
	assert.Equal(t, []Way{WayMove}, order(peer, false))
	assert.Equal(t, []Way{WayGet}, order(peer, true), "there is no other way")
	assert.Equal(t, []Way{WayGet, WayMove}, order(other, false))
	get := *peer
	get.Settings = &pool.Settings{Retrieve: pool.RetrieveGet}
	assert.Equal(t, []Way{WayGet}, order(&get, false))
	get.Settings = &pool.Settings{Retrieve: pool.RetrieveMove}
	assert.Equal(t, []Way{WayMove}, order(&get, false))
	assert.Empty(t, order(&get, true))
	now = now.Add(refusedFor)
	assert.Equal(t, []Way{WayGet, WayMove}, order(peer, false))
	for i := range 2 * maxRemembered {
		w.refuseGet(&qr.Peer{Host: "pacs", Port: i})
		assert.LessOrEqual(t, len(w.refused), maxRemembered)
	}
}

func TestWaysLearnTheSOPClassesOfAModality(t *testing.T) {
	w := ways{now: time.Now}
	peer := &qr.Peer{Host: "pacs", Port: 104}
	for range 2 {
		w.learn(peer, "CT", ct)
		w.learn(peer, "CT", "1.2.3")
	}
	assert.Equal(t, []string{ct, "1.2.3"}, w.learnt(peer, "CT"))
	assert.Empty(t, w.learnt(peer, "MR"))
	for i := range 2 * maxRemembered {
		w.learn(peer, strconv.Itoa(i), ct)
		w.learn(peer, "X", fmt.Sprintf("1.%d", i))
	}
	assert.LessOrEqual(t, len(w.learnt(peer, "X")), maxClasses)
	assert.LessOrEqual(t, len(w.classes), maxRemembered)
}
